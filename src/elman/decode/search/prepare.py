"""From prompts to sequences on their way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from elman.arrays import as_array
from elman.checks import shown
from elman.decode.door import as_state
from elman.decode.results import Carried
from elman.decode.roles import Integers, Stepper
from elman.decode.search.guide import Guide
from elman.decode.search.live import Live, Tape
from elman.decode.spelling import needs_spelling
from elman.errors import ConfigError, DataError

Prompt = str | ArrayLike | Carried
_FIRST = np.zeros(1, np.int64)
_NOTHING = np.zeros(0, np.int64)
_ROOM = 256  # tokens that there is room for to begin with


def prepare(guide: Guide, prompts: Sequence[Prompt]) -> list[Live]:
    """Let the stepper read the prompts, all but their last tokens.

    Args:
        guide: gets its `origins`.
        prompts: of any kind.

    Returns:
        a sequence for each of them, side by side. Where the stepper's states cannot be joined, a batch for each length
        of prompt.

    Raises:
        ConfigError, DataError: an empty prompt, one of another kind, unknown characters or tokens.
    """
    read = [_tokens(guide, prompt) for prompt in prompts]
    groups = _groups(guide.stepper, read)
    guide.origins = [_origin(guide, r) for r in read]
    return [_live(guide, owners, state) for owners, state in groups]


def _tokens(guide: Guide, prompt: Prompt) -> Integers | Carried:
    if isinstance(prompt, Carried):
        as_state(prompt.state)
        return prompt
    stepper, options = guide.stepper, guide.options
    begin = stepper.begin
    if isinstance(prompt, str):
        spelling = needs_spelling(guide.spelling, "the prompt")
        tokens = spelling.encode(prompt, options.unknown, options.replacement)
    else:
        tokens = _checked(prompt, stepper.size, begin)
    if not len(tokens) and begin is None:
        raise ConfigError("decoding needs a prompt of at least one token that the model knows; got an empty one")
    return tokens if len(tokens) else np.array([begin], np.int64)


def _origin(guide: Guide, read: Integers | Carried) -> Carried:
    """What a prompt begins with: the text so far, and since when it follows the rules of this search."""
    o = guide.options
    rules = o.constraints, o.stop_strings, o.stop_tokens
    if not isinstance(read, Carried):
        return Carried(None, int(read[-1]), read, _NOTHING, rules=rules)
    return read if read.rules == rules else replace(read, rules=rules, since=len(read.text))


def _checked(prompt: ArrayLike, size: int, begin: int | None) -> Integers:
    tokens = as_array(prompt)
    if tokens is None:
        raise DataError(f"a prompt is text, or whole numbers [N]; got {shown(prompt)}")
    if tokens.ndim != 1 or (tokens.size and tokens.dtype.kind not in "iu"):
        raise DataError(f"a prompt is text, or whole numbers [N]; got {tokens.dtype} {list(tokens.shape)}")
    known = (tokens >= 0) & (tokens < size) if tokens.size else np.ones(0, bool)
    if begin is not None:
        known |= tokens == begin
    if not known.all():
        raise DataError(f"the prompt has token {tokens[~known][0]}, the stepper knows 0 … {size - 1}")
    checked: Integers = tokens.astype(np.int64)
    return checked


def _groups(stepper: Stepper, read: list[Integers | Carried]) -> list[tuple[Integers, Any]]:
    """Owners and their state, in as few batches as the states allow."""
    fresh = [k for k, r in enumerate(read) if not isinstance(r, Carried)]
    batches = _read(stepper, [read[k] for k in fresh], np.array(fresh)) if fresh else []  # type: ignore[misc]
    batches += [(np.array([k]), r.state) for k, r in enumerate(read) if isinstance(r, Carried)]
    if len(batches) == 1:
        return batches
    owners = np.concatenate([owners for owners, _ in batches])
    joined = stepper.join([state for _, state in batches])
    if joined is None:
        return batches
    order = np.argsort(owners)
    return [(owners[order], joined.select(order))]


def _read(stepper: Stepper, prompts: list[Integers], owners: Integers) -> list[tuple[Integers, Any]]:
    """Feed prompts side by side, the longest first, so that those that have ended can be split off."""
    lengths = np.array([len(prompt) - 1 for prompt in prompts])
    order = np.argsort(-lengths, kind="stable")
    lengths, ended = lengths[order], []
    state = stepper.start(len(prompts))
    if len(set(lengths.tolist())) > 1 and stepper.join([state.select(_FIRST), state.select(_FIRST)]) is None:
        parts = [np.flatnonzero(lengths == n) for n in np.unique(lengths)]
        return [
            part for rows in parts for part in _read(stepper, [prompts[order[r]] for r in rows], owners[order[rows]])
        ]
    alive = len(prompts)
    for place in range(int(lengths[0]) + 1):
        going = int((lengths > place).sum())
        if going < alive:
            ended.append((owners[order[going:alive]], state.select(np.arange(going, alive))))
            state, alive = state.select(np.arange(going)), going
        if going:
            tokens = np.array([prompts[k][place] for k in order[:going]], np.int64)
            _, state = stepper.step(tokens, state)
    return ended


def _live(guide: Guide, owners: Integers, state: Any) -> Live:
    rows = np.arange(len(owners))
    origins = [guide.origins[owner] for owner in owners]
    before, room = _history(origins, guide), min(guide.options.max_length, _ROOM)
    counts = seen = None
    if guide.options.counts_tokens:
        counts = np.stack([np.bincount(o.text, minlength=guide.size) for o in origins])
        seen = np.zeros((len(rows), guide.size), bool)
        for row, origin in enumerate(origins):
            seen[row, origin.prompt[origin.prompt < guide.size]] = True
    return Live(
        owner=owners,
        stream=np.array([o.stream for o in origins], np.int64),
        last=np.array([o.last for o in origins], np.int64),
        state=state,
        tokens=Tape(before, room),
        begin=before.shape[1],
        log_probabilities=Tape(np.zeros((len(rows), 0)), room),
        scores=Tape(np.zeros((len(rows), 0)), room),
        total=np.zeros(len(rows)),
        constraint=_constraint(guide, origins),
        counts=counts,
        seen=seen,
    )


def _history(origins: list[Carried], guide: Guide) -> Integers:
    """What may not be repeated, aligned at its end and filled with -1; no columns where nothing is blocked."""
    if not guide.options.no_repeat_ngram:
        return np.zeros((len(origins), 0), np.int64)
    texts = [np.concatenate((o.prompt, o.text)) for o in origins]
    history = np.full((len(texts), max(map(len, texts))), -1, np.int64)
    for row, text in zip(history, texts, strict=True):
        row[len(row) - len(text) :] = np.where(text < guide.size, text, -1)
    return history


def _constraint(guide: Guide, origins: list[Carried]) -> Integers:
    """Constraints begin, or go on behind the text that follows them already."""
    if guide.force is None:
        return np.zeros(len(origins), np.int64)
    written = [o.text[o.since :][~np.isin(o.text[o.since :], guide.stops)] for o in origins]
    return np.array([guide.force.behind(tokens) for tokens in written], np.int64)
