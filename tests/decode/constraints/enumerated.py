"""What may come out of a search under constraints, found by writing out everything."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from elman.decode import Options

Tokens = tuple[int, ...]
Test = Callable[[str], Any]


@dataclass(frozen=True)
class Problem:
    """A vocabulary, options, and the constraints once more as functions.

    Attributes:
        pieces: [V], what each token writes.
        options: what is asked.
        over_text: each constraint on texts as a test.
        over_tokens: each constraint on tokens as a test.
    """

    pieces: tuple[str, ...]
    options: Options
    over_text: tuple[Test, ...] = ()
    over_tokens: tuple[Callable[[Tokens], Any], ...] = ()
    banned: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        banned = {token for token, value in self.options.bias.items() if value == -math.inf}
        object.__setattr__(self, "banned", frozenset(banned))

    @property
    def written(self) -> list[int]:
        """Tokens that a text can have. Those that write nothing are left alone where nobody speaks of text."""
        stops, is_text = self.options.stop_tokens, self.over_text or self.options.stop_strings
        taken = [token for token, piece in enumerate(self.pieces) if piece or not is_text]
        return [token for token in taken if token not in self.banned and token not in stops]

    def outputs(self) -> set[Tokens]:
        """All outputs, a stop token included."""
        o = self.options
        stops = [token for token in o.stop_tokens if token not in self.banned]
        accepted, stopped = set[Tokens](), set[Tokens]()
        for tokens in _sequences(self.written, o.max_length, self._has_stopped):
            if len(tokens) >= o.min_length and self._accepts(tokens):
                (stopped if self._has_stopped(tokens) else accepted).add(tokens)
        if o.stop_when_accepted:
            alive = {tokens for tokens in accepted if not any(tokens[:n] in accepted for n in range(len(tokens)))}
            return alive | {t for t in stopped if not any(t[:n] in accepted for n in range(len(t)))}
        found = stopped | {tokens for tokens in accepted if len(tokens) == o.max_length}
        if stops:
            return found | {(*tokens, s) for tokens in accepted if len(tokens) < o.max_length for s in stops}
        goes_on = {tokens[:n] for tokens in accepted | stopped for n in range(len(tokens))}
        return found | (accepted - goes_on)

    def _has_stopped(self, tokens: Tokens) -> bool:
        text = "".join(self.pieces[t] for t in tokens)
        return any(stop in text for stop in self.options.stop_strings)

    def _accepts(self, tokens: Tokens) -> bool:
        text = before_stop("".join(self.pieces[t] for t in tokens), self.options.stop_strings)
        return all(test(text) for test in self.over_text) and all(test(tokens) for test in self.over_tokens)


def before_stop(text: str, stops: Sequence[str]) -> str:
    """Read character by character until a stop string is complete; without the longest that is."""
    for end in range(1, len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            return text[: end - max(map(len, found))]
    return text


def _sequences(tokens: list[int], most: int, has_ended: Callable[[Tokens], bool]) -> list[Tokens]:
    """Everything that can be written, ended or not."""
    found, going = [()], [()]
    for _ in range(most):
        going = [(*g, t) for g, t in itertools.product(going, tokens) if not has_ended(g)]  # type: ignore[misc]
        found += going
    return found  # type: ignore[return-value]
