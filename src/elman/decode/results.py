"""What decoding gives: values that can be looked at, kept, and gone on from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, overload

import numpy as np

from elman.arrays import as_tokens
from elman.checks import whole
from elman.decode.roles import Floats, Integers
from elman.decode.search.live import Live
from elman.decode.search.tree import Tree

_MOST = (1 << 63) - 1


class Reason(Enum):
    """Why a sequence ended."""

    STOP_TOKEN = "stop token"
    STOP_STRING = "stop string"
    CONSTRAINT = "constraint"  # the constraints are met, and allow nothing more
    LENGTH = "length"
    DEAD_END = "dead end"  # the constraints are not met, and nothing that they allow is possible
    CANCELLED = "cancelled"


@dataclass(frozen=True, eq=False)
class Carried:
    """Where a sequence has got to: a prompt that goes on from there, as often as wanted.

    Attributes:
        state: the stepper's, of one sequence, before it reads `last`.
        last: the token that is read next.
        prompt: what was read before the text.
        text: tokens of the text so far.
        draws: random numbers used.
        stream: which stream of random numbers the sequence draws from.
        rules: the constraints, stop strings and stop tokens that the text from `since` on follows. A search with the
            same ones goes on with them; for another, its constraints begin anew.
        since: tokens of the text before that.

    Raises:
        ConfigError, DtypeError: numbers or tokens of another kind.
    """

    state: Any
    last: int
    prompt: Integers
    text: Integers
    draws: int = 0
    stream: int = 0
    rules: tuple[Any, ...] = ()
    since: int = 0

    def __post_init__(self) -> None:
        for name in ("last", "draws", "stream", "since"):
            object.__setattr__(self, name, whole(f"carried: {name}", getattr(self, name), 0, _MOST))
        for name in ("prompt", "text"):
            object.__setattr__(self, name, as_tokens(getattr(self, name)))


GOES_ON, STOP_TOKEN, STOP_STRING, CONSTRAINT, LENGTH, DEAD_END, CANCELLED = range(7)  # in arrays; in order as above
_REASONS = tuple(Reason)


@dataclass(frozen=True, eq=False)
class Ended:
    """Sequences that ended together: what their outputs are views of.

    Attributes:
        live: their rows.
        codes: [n], why each has ended.
        ranks: [n].
        draws: [n], random numbers that each has used.
        origins: what prompts began with, by owner.
        text: (tokens, reason, tokens before them) → text.
    """

    live: Live
    codes: Integers
    ranks: Floats
    draws: Integers
    origins: Sequence[Carried]
    text: Callable[[Integers, Reason, Integers], str | None]


@dataclass(frozen=True, eq=False, slots=True)
class Output:
    """One sequence."""

    _ended: Ended
    _row: int

    def __repr__(self) -> str:
        return f"Output({self.text!r}, tokens {self.tokens.tolist()}, rank {self.rank:.4f}, {self.reason.value})"

    @property
    def reason(self) -> Reason:
        """Why it ended."""
        return _REASONS[int(self._ended.codes[self._row]) - 1]

    @property
    def rank(self) -> float:
        """What the ranker gives; the sum of `scores` where nothing is ranked."""
        return float(self._ended.ranks[self._row])

    @property
    def tokens(self) -> Integers:
        """[n], what was decoded, a stop token included."""
        live = self._ended.live
        tokens: Integers = live.written[self._row]
        return tokens

    @property
    def text(self) -> str | None:
        """What the tokens write, without stop token and stop string; None without a spelling.

        A character of which bytes are missing at the end is left out; what is carried on completes it.
        """
        origin = self._ended.origins[self._ended.live.owner[self._row]]
        before = np.concatenate((origin.prompt[-4:], origin.text[-4:]))
        return self._ended.text(self.tokens, self.reason, before)

    @property
    def log_probabilities(self) -> Floats:
        """[n], of each token under the stepper."""
        values: Floats = self._ended.live.log_probabilities.values[self._row]
        return values

    @property
    def scores(self) -> Floats:
        """[n], of each token as it was chosen.

        That is after penalties and biases, and where it was drawn, under the very distribution that it was drawn from.
        """
        values: Floats = self._ended.live.scores.values[self._row]
        return values

    @property
    def carried(self) -> Carried:
        """To go on from."""
        live, row = self._ended.live, self._row
        origin = self._ended.origins[live.owner[row]]
        text = np.concatenate((origin.text, self.tokens))
        return Carried(
            state=live.state.select(np.array([row])),
            last=int(live.last[row]),
            prompt=origin.prompt,
            text=text,
            draws=int(self._ended.draws[row]),
            stream=int(live.stream[row]),
            rules=origin.rules,
            since=len(text) if self.reason is Reason.STOP_STRING else origin.since,
        )

    @property
    def log_probability(self) -> float:
        """Of the whole sequence under the stepper, a natural logarithm."""
        return math.fsum(self.log_probabilities)

    @property
    def finished(self) -> bool:
        """Whether it came to an end that satisfies the constraints."""
        return self.reason not in (Reason.DEAD_END, Reason.CANCELLED)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, without the state."""
        return {
            "tokens": self.tokens.tolist(),
            "text": self.text,
            "log_probability": self.log_probability,
            "log_probabilities": self.log_probabilities.tolist(),
            "scores": self.scores.tolist(),
            "rank": self.rank,
            "reason": self.reason.value,
        }


class Outputs(Sequence[Output]):
    """Many outputs, each made when it is looked at.

    Args:
        parts: those that ended together.
        part, row: [n], where each output is.
    """

    def __init__(self, parts: Sequence[Ended], part: Integers, row: Integers) -> None:
        self._parts, self._part, self._row = parts, part, row

    def __len__(self) -> int:
        return len(self._row)

    @overload
    def __getitem__(self, index: int) -> Output: ...
    @overload
    def __getitem__(self, index: slice) -> Outputs: ...
    def __getitem__(self, index: int | slice) -> Output | Outputs:
        if isinstance(index, slice):
            return Outputs(self._parts, self._part[index], self._row[index])
        return Output(self._parts[int(self._part[index])], int(self._row[index]))


@dataclass(frozen=True, eq=False)
class Result:
    """What a prompt was continued by.

    Attributes:
        outputs: the best first, or samples in their order. A beam or an exact search without any finished sequence
            gives the best unfinished one, whose reason says so.
        steps: steps of one sequence that the stepper took for it.
        proved: whether no better sequence exists: by an exact search that its budget sufficed for; None elsewhere.
        upper: no sequence that was not looked at ranks higher, where an exact search ran out of its budget.
        tree: what a beam kept, finished and pruned, where `keep_tree` asks for it.
    """

    outputs: Sequence[Output]
    steps: int
    proved: bool | None = None
    upper: float | None = None
    tree: Tree | None = None

    @property
    def best(self) -> Output:
        """The first output."""
        return self.outputs[0]
