"""What every searcher asks: what may come next and how likely it is, and whether a sequence has ended."""

from __future__ import annotations

from typing import Any

import numpy as np

from elman.checks import of_kind
from elman.decode.constraints.compiled import compiled
from elman.decode.constraints.stops import before
from elman.decode.door import admitted
from elman.decode.options import Options
from elman.decode.rankers import Rank
from elman.decode.results import CONSTRAINT, DEAD_END, GOES_ON, LENGTH, STOP_STRING, STOP_TOKEN, Carried, Ended, Reason
from elman.decode.roles import Booleans, Floats, Integers, Stepper
from elman.decode.search.filters import Adjustment, repeats
from elman.decode.search.live import Live
from elman.decode.spelling import Spelling
from elman.errors import ConfigError, DataError


class Guide:
    """A stepper under options.

    Args:
        stepper: what predicts.
        options: what is asked for.
        spelling: what tokens write; the stepper's own by default.

    Raises:
        ConfigError: options that name tokens which the stepper does not have, or a constraint that cannot be met.
    """

    def __init__(self, stepper: Stepper, options: Options, spelling: Spelling | None = None) -> None:
        self.stepper, self.options = admitted(stepper), options
        self.size, self._is_normalised = self.stepper.size, self.stepper.normalised
        if spelling is not None:
            of_kind("spelling", spelling, Spelling, "a Spelling or None")
        self.spelling = self.stepper.spelling if spelling is None else spelling
        if self.spelling is not None and len(self.spelling) != self.size:
            raise ConfigError(f"the spelling has {len(self.spelling)} tokens, the stepper {self.size}")
        named = [*options.stop_tokens, *options.bias]
        named += options.ranker.bonus_tokens if isinstance(options.ranker, Rank) else ()
        if named and max(named) >= self.size:
            raise ConfigError(f"token {max(named)} is named in the options; the stepper has 0 … {self.size - 1}")
        self.stops = np.array(sorted(set(options.stop_tokens)), np.int64)
        self.force = compiled(options, self.size, self.spelling)
        self._may_stop = any(options.bias.get(token, 0.0) > -np.inf for token in options.stop_tokens)
        self.adjusts = options.adjusts or not self._is_normalised
        self._adjust = Adjustment(options, self.size) if options.adjusts else None
        self.may_block = bool(self.force or options.no_repeat_ngram or (len(self.stops) and options.min_length))
        self.may_block |= any(value == -np.inf for value in options.bias.values())
        self.may_stick = self.may_block or self.adjusts  # enormous penalties and products of experts can forbid all
        self._must_fall = not self._is_normalised and (
            options.strategy == "exact" or (options.strategy == "beam" and options.early == "proved")
        )
        self.origins: list[Carried] = []

    def at_once(self, live: Live) -> Integers:
        """Which sequences end before they begin, [B]: GOES_ON or why."""
        codes = np.full(len(live), LENGTH if self.options.max_length == 0 else GOES_ON, np.int64)
        if self.force is not None:
            codes[self.force.ended(live.constraint, 0)] = CONSTRAINT
        return codes

    def expand(self, live: Live) -> tuple[Floats, Floats]:
        """Read the last tokens.

        Returns:
            the stepper's log-probabilities [B, V], and the scores [B, V]: penalties and biases in them, -inf for
            whatever may not come.
        """
        log_probabilities, live.state = self.stepper.step(live.last, live.state)
        if self._must_fall and log_probabilities.max() > 0:
            raise DataError(
                f"the stepper gives a score of {log_probabilities.max():.4g}, and nothing can be proved where scores "
                "exceed 0: take log-probabilities, or a beam with early='first' or 'never'"
            )
        scores = log_probabilities
        if self._adjust is not None:
            scores = self._adjust(scores, live.counts, live.seen)
        if self.may_block:
            scores = np.where(self._allowed(live), scores, -np.inf)
        return log_probabilities, scores

    def _allowed(self, live: Live) -> Booleans:
        if self.force is None:
            allowed = np.ones((len(live), self.size), bool)
        else:
            allowed = self.force.allowed(live.constraint, live.length)
        if self.options.no_repeat_ngram:
            allowed &= ~repeats(live.tokens.values, self.options.no_repeat_ngram, self.size)
        if len(self.stops):
            may_stop: Any = live.length >= self.options.min_length
            if self.force is not None:
                may_stop = (self.force.accepts(live.constraint) & may_stop)[:, None]
            allowed[:, self.stops] = may_stop
        return allowed

    def advance(self, live: Live, tokens: Integers, log_probabilities: Floats, scores: Floats) -> Integers | None:
        """Each sequence gets its next token, [B].

        Returns:
            [B], GOES_ON or why it has ended; None if all go on.
        """
        live.append(tokens, log_probabilities, scores)
        codes: Integers | None = None
        if live.length == self.options.max_length:
            codes = np.full(len(live), LENGTH, np.int64)
        stopped = None
        if len(self.stops):
            stopped = tokens == self.stops[0] if len(self.stops) == 1 else np.isin(tokens, self.stops)
        if self.force is not None:
            moved = self.force.advance(live.constraint, tokens)
            live.constraint = moved if stopped is None else np.where(stopped, live.constraint, moved)
            if np.count_nonzero(ended := self.force.ended(live.constraint, live.length)):
                codes = np.zeros(len(live), np.int64) if codes is None else codes
                codes[ended] = CONSTRAINT
                codes[self.force.stopped(live.constraint)] = STOP_STRING
        if stopped is not None and stopped.any():
            codes = np.zeros(len(live), np.int64) if codes is None else codes
            codes[stopped] = STOP_TOKEN
        return codes

    def ends(self, live: Live) -> Booleans | None:
        """Which next tokens would end a sequence, [B, V]; None if none would."""
        if live.length + 1 == self.options.max_length:
            return np.ones((len(live), self.size), bool)
        if self.force is None and not len(self.stops):
            return None
        if self.force is None:
            ends = np.zeros((len(live), self.size), bool)
        else:
            ends = self.force.ends(live.constraint, live.length)
        ends[:, self.stops] = True
        return ends

    def stuck(self, live: Live, rows: Integers) -> Integers:
        """Why sequences have ended for which nothing is possible, [n]."""
        codes = np.full(len(rows), DEAD_END, np.int64)
        if self.force is not None and not self._may_stop and live.length >= self.options.min_length:
            codes[self.force.accepts(live.constraint[rows])] = CONSTRAINT
        return codes

    def ended(
        self, live: Live, rows: Integers, codes: Integers, ranks: Floats | None = None, draws: Integers | None = None
    ) -> Ended:
        """Some sequences as they have ended: why, their ranks (the totals), random numbers used (none), all [n]."""
        chosen = live.select(rows)
        none = np.zeros(len(rows), np.int64)
        return Ended(
            live=chosen,
            codes=codes,
            ranks=chosen.total if ranks is None else ranks,
            draws=none if draws is None else draws,
            origins=self.origins,
            text=self._text,
        )

    def _text(self, tokens: Integers, reason: Reason, preceding: Integers) -> str | None:
        if self.spelling is None:
            return None
        if reason is Reason.STOP_TOKEN:
            tokens = tokens[:-1]
        decode = self.spelling.decoder(preceding)
        text = decode(tokens)
        return text[: before(text, self.options.stop_strings)] if reason is Reason.STOP_STRING else text
