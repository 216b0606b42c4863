"""Decoding from end to end: prompts in, results out, all at once or as they are decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from elman.checks import OneAtATime, finite, of_kind, shown, whole
from elman.decode.options import Options
from elman.decode.results import Result
from elman.decode.roles import Stepper
from elman.decode.search.beam import Beam
from elman.decode.search.draw import Decided, Drawing
from elman.decode.search.exact import Exact
from elman.decode.search.guide import Guide
from elman.decode.search.prepare import Prompt, prepare
from elman.decode.spelling import Spelling
from elman.errors import ConfigError

_SEARCHERS: dict[str, type[Drawing] | type[Beam] | type[Exact]] = {
    "greedy": Drawing,
    "sample": Drawing,
    "beam": Beam,
    "exact": Exact,
}


class Decoding(Iterator[Decided]):
    """A search on its way. Iterating gives tokens as they are decided; nothing is computed before it is asked for.

    A beam decides what all its hypotheses agree on; an exact search decides everything at its end. A decoding is of one
    thread at a time, but any thread may `cancel` it; decodings in several threads may share a stepper.

    Args:
        stepper: what predicts.
        prompts: texts, tokens [N], or what an earlier output `carried`; at least one.
        options: what is asked for.
        spelling: what tokens write; the stepper's own by default.

    Raises:
        ElmanError: prompts or options that cannot be used.
    """

    def __init__(
        self, stepper: Stepper, prompts: Sequence[Prompt], options: Options, spelling: Spelling | None = None
    ) -> None:
        of_kind("options", options, Options, "Options(…)")
        prompts = _listed(prompts)
        if isinstance(options.seed, tuple) and len(options.seed) != len(prompts):
            raise ConfigError(f"{len(prompts)} prompts need as many seeds, or one; got {len(options.seed)}")
        guide = Guide(stepper, options, spelling)
        make = _SEARCHERS[options.strategy]
        batches = prepare(guide, prompts)
        self._count = len(prompts)
        self._searchers = [(np.unique(live.owner).tolist(), make(guide, live)) for live in batches]
        self._steps = self._run()
        self._cancelled = False
        self._one_at_a_time = OneAtATime("this decoding", "give each thread a decoding of its own")

    def __iter__(self) -> Iterator[Decided]:
        return self

    def __next__(self) -> Decided:
        with self._one_at_a_time:
            return next(self._steps)

    def _run(self) -> Iterator[Decided]:
        for _, searcher in self._searchers:
            for decided in searcher:
                yield decided
                if self._cancelled:
                    return

    def cancel(self) -> None:
        """Let the search end where it is: what has not ended keeps what it has, with the reason CANCELLED."""
        self._cancelled = True

    def results(self) -> list[Result]:
        """Run to the end, unless cancelled; then give a result for each prompt."""
        with self._one_at_a_time:
            if not self._cancelled:
                for _, searcher in self._searchers:
                    if isinstance(searcher, Beam):
                        searcher.watched = False
                for _ in self._steps:
                    pass
            found: dict[int, Result] = {}
            for owners, searcher in self._searchers:
                found |= searcher.results(owners)
            return [found[k] for k in range(self._count)]


def decode(
    stepper: Stepper, prompts: Sequence[Prompt], options: Options | None = None, spelling: Spelling | None = None
) -> list[Result]:
    """Continue prompts. See `Decoding`; greedy by default.

    Returns:
        a result for each prompt, in their order; it does not depend on which other prompts there are.
    """
    return Decoding(stepper, prompts, Options() if options is None else options, spelling).results()


def sample(stepper: Stepper, prompt: Prompt, length: int, temperature: float = 1.0, seed: int = 0) -> Iterator[int]:
    """Draw tokens, each given the prompt and all that were drawn before it; a token is drawn when it is asked for.

    Args:
        stepper: what predicts.
        prompt: at least one token.
        length: tokens to draw.
        temperature: below 1 likely tokens become likelier; 0 takes the likeliest.
        seed: the same seed draws the same tokens.

    Raises:
        ElmanError: a prompt or a number that cannot be used.
    """
    length, temperature = whole("length", length), finite("temperature", temperature, 0.0)
    options = Options(strategy="sample", max_length=length, temperature=temperature, seed=seed)
    return (token for decided in Decoding(stepper, [prompt], options) for token in decided.tokens.tolist())


def _listed(prompts: Sequence[Prompt]) -> list[Prompt]:
    try:
        found = [] if isinstance(prompts, str | bytes | Mapping) else list(prompts)
    except TypeError:
        found = []
    if not found:
        raise ConfigError(f"a list of prompts is needed, with at least one; got {shown(prompts)}")
    return found
