"""Text as it comes: never half a character, and never the beginning of a stop string that turns out to be one."""

from __future__ import annotations

from collections.abc import Sequence

from elman.checks import of_kind
from elman.decode.constraints import stops
from elman.decode.options import Options
from elman.decode.spelling import Spelling


class TextStream:
    """Shows one output while it is decoded.

    Args:
        spelling: what tokens write.
        options: which tokens and strings stop it.
        before: the tokens in front of it, of which a last character may be incomplete.
    """

    def __init__(self, spelling: Spelling, options: Options, before: Sequence[int] = ()) -> None:
        of_kind("spelling", spelling, Spelling, "a Spelling")
        of_kind("options", options, Options, "Options(…)")
        self._spelling, self._decode = spelling, spelling.decoder(before)
        self._stop_tokens: Sequence[int] = options.stop_tokens
        self._stop_strings: Sequence[str] = options.stop_strings
        self._held = ""
        self._shown = 0

    def push(self, tokens: Sequence[int]) -> str:
        """Take tokens; give the text that is certain now."""
        for token in self._spelling.known(tokens):
            if token not in self._stop_tokens:
                self._held += self._decode([token])
        stop = stops.before(self._held, self._stop_strings)
        return self._show(len(self._held) - self._unsure() if stop is None else stop, stop is not None)

    def end(self, text: str) -> str:
        """What is left of the output's text."""
        of_kind("text", text, str, "the output's text")
        return text[self._shown :]

    def _show(self, count: int, stopped: bool) -> str:
        text, self._held = self._held[:count], "" if stopped else self._held[count:]
        self._shown += len(text)
        return text

    def _unsure(self) -> int:
        """Characters at the end that may be the beginning of a stop string."""
        most = max((len(stop) - 1 for stop in self._stop_strings), default=0)
        for count in range(min(most, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-count:]) for stop in self._stop_strings):
                return count
        return 0
