"""What can be chosen about sampling on the command line."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from elman.decode import Allowed, Grammar, Infix, Lexicon, Options, Prefix, Rank, Regex, Utf8
from elman.decode.options import OWN, Strategy
from elman.errors import ConfigError, DataError

DEFAULT_TEMPERATURE = 0.7
DEFAULT_WIDTH = 8
LENGTHS = {"greedy": 1000, "sample": 1000, "beam": 80, "exact": 12}


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """How to decode.

    Attributes:
        strategy: greedy takes the likeliest character each time, sample draws, beam follows the best few beginnings,
            exact finds the likeliest text of all, if the budget suffices.
        length: characters at most; by default 1000, for a beam 80, for the exact search 12.
        min_length: characters at least.
        count: texts to write: samples, or the n best.
        seed: the same seed writes the same text.
        temperature: of sampling, by default 0.7: below 1 plainer, above 1 wilder, 0 always the likeliest.
        top_k: draw from the k likeliest; 0 is off.
        top_p: draw from the fewest likeliest that hold this much probability.
        min_p: draw from those at least this many times as likely as the likeliest.
        typical_p: draw from the fewest nearest to the entropy that hold this much probability.
        repetition_penalty: makes what stands in prompt or text less likely; 1 is off.
        frequency_penalty: the same, by how often it stands in the text.
        presence_penalty: the same, once.
        no_repeat_ngram: no n characters stand twice; 0 is off.
        stop: the text ends before any of these.
        starts: the text begins so.
        contains: this stands in the text.
        allowed: the text has only these characters.
        regex: the text matches this regular expression, as a whole.
        grammar: file with a grammar in EBNF that the text follows.
        json_schema: file with a JSON schema under which the text is valid.
        lexicon: file with words, one a line; the text is one of them.
        separator: the text is several words of the lexicon with this character between.
        utf8: of a model of bytes: whole characters only.
        first_match: end as soon as the constraints are met.
        max_states: states that the constraints may be compiled to.
        width: of the beam, by default 8.
        groups: of beams that differ.
        diversity: how much they differ.
        stochastic: draw the beam without replacement.
        early: when the beam may end.
        alpha: of the length normalisation among finished texts; 0 is off.
        bonus: for every character, among finished texts.
        budget: steps that the exact search may take.
        unknown: what happens to characters of the prompt that the model does not know.
        replacement: of those.
    """

    strategy: Strategy = "sample"
    length: int | None = None
    min_length: int = 0
    count: int = 1
    seed: int = 0
    temperature: float | None = None
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    no_repeat_ngram: int = 0
    stop: tuple[str, ...] = ()
    starts: str = ""
    contains: str = ""
    allowed: str = ""
    regex: str = ""
    grammar: Path | None = None
    json_schema: Path | None = None
    lexicon: Path | None = None
    separator: str = ""
    utf8: bool = False
    first_match: bool = False
    max_states: int = 200_000
    width: int | None = None
    groups: int = 1
    diversity: float = 0.0
    stochastic: bool = False
    early: Literal["proved", "first", "never"] = "proved"
    alpha: float = 0.0
    bonus: float = 0.0
    budget: int = 100_000
    unknown: Literal["error", "skip", "replace"] = "error"
    replacement: str = "?"

    def options(self, keep_tree: bool = False) -> Options:
        """The decoder's options. Raises ConfigError where they contradict one another, DataError for a bad file."""
        own = {name: value for name in _SHARED if (value := getattr(self, name)) is not None}
        if self.strategy == "sample":
            own.setdefault("temperature", DEFAULT_TEMPERATURE)
        if self.strategy == "beam":
            own.setdefault("width", max(DEFAULT_WIDTH, self.count))
        return Options(
            **own,
            max_length=LENGTHS[self.strategy] if self.length is None else self.length,
            stop_strings=self.stop,
            stop_when_accepted=self.first_match,
            constraints=tuple(self._constraints()),
            ranker=Rank(alpha=self.alpha, bonus=self.bonus),
            keep_tree=keep_tree,
        )

    def with_strategy(self, strategy: Strategy) -> SampleSettings:
        """The same for another strategy, without what only this one knows."""
        foreign = [name for own, names in OWN.items() if own != strategy for name in names]
        if strategy in ("greedy", "sample"):
            foreign += ["alpha", "bonus"]
        plain = SampleSettings()
        others = {name: getattr(plain, name) for name in foreign if hasattr(plain, name)}
        return replace(self, strategy=strategy, **others)

    def _constraints(self) -> list[Any]:
        if self.separator and self.lexicon is None:
            raise ConfigError("--separator stands between words of a lexicon: add --lexicon")
        kinds = ((Regex, self.regex), (Prefix, self.starts), (Infix, self.contains), (Allowed, self.allowed))
        found: list[Any] = [kind(value) for kind, value in kinds if value]
        if self.grammar is not None:
            found.append(Grammar(_read(self.grammar)))
        if self.json_schema is not None:
            found.append(Grammar.json_schema(_read_json(self.json_schema)))
        if self.lexicon is not None:
            words = tuple(word for word in _read(self.lexicon).split("\n") if word)
            found.append(Lexicon(words, self.separator))
        return [*found, Utf8()] if self.utf8 else found


_SHARED = {field.name for field in fields(SampleSettings)} & {field.name for field in fields(Options)}


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")  # a byte-order mark is no part of a text
    except UnicodeDecodeError:
        raise DataError(f"{path}: text in UTF-8 expected") from None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(_read(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path}: JSON expected: {error}") from None
