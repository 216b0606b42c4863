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
class SearchSettings:
    """What is searched for, and how far.

    Attributes:
        strategy: greedy takes the likeliest character each time, sample draws, beam follows the best few beginnings,
            exact finds the likeliest text of all, if the budget suffices.
        length: characters at most; by default 1000, for a beam 80, for the exact search 12.
        min_length: characters at least.
        stop: the text ends before any of these.
        count: texts to write: samples, or the n best.
        budget: steps that the exact search may take.
        alpha: of the length normalisation among finished texts; 0 is off.
        bonus: for every character, among finished texts.
    """

    strategy: Strategy = "sample"
    length: int | None = None
    min_length: int = 0
    stop: tuple[str, ...] = ()
    count: int = 1
    budget: int = 100_000
    alpha: float = 0.0
    bonus: float = 0.0


@dataclass(frozen=True, kw_only=True)
class DrawSettings:
    """From what the strategy "sample" draws.

    Attributes:
        temperature: by default 0.7: below 1 plainer, above 1 wilder, 0 always the likeliest.
        top_k: draw from the k likeliest; 0 is off.
        top_p: draw from the fewest likeliest that hold this much probability.
        min_p: draw from those at least this many times as likely as the likeliest.
        typical_p: draw from the fewest nearest to the entropy that hold this much probability.
        seed: the same seed writes the same text.
    """

    temperature: float | None = None
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class RepetitionSettings:
    """What is held against saying the same again.

    Attributes:
        repetition_penalty: makes what stands in prompt or text less likely; 1 is off.
        frequency_penalty: the same, by how often it stands in the text.
        presence_penalty: the same, once.
        no_repeat_ngram: no n characters stand twice; 0 is off.
    """

    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    no_repeat_ngram: int = 0


@dataclass(frozen=True, kw_only=True)
class ConstraintSettings:
    """What the text must be; all that is given holds at once.

    Attributes:
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
    """

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

    def constraints(self) -> list[Any]:
        """As the decoder takes them. Raises ConfigError where one cannot be, DataError for a bad file."""
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


@dataclass(frozen=True, kw_only=True)
class BeamSettings:
    """How the strategy "beam" searches.

    Attributes:
        width: of the beam, by default 8.
        groups: of beams that differ.
        diversity: how much they differ.
        stochastic: draw the beam without replacement.
        early: when the beam may end.
    """

    width: int | None = None
    groups: int = 1
    diversity: float = 0.0
    stochastic: bool = False
    early: Literal["proved", "first", "never"] = "proved"


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    """How the prompt is read.

    Attributes:
        unknown: what happens to characters of the prompt that the model does not know.
        replacement: of those.
    """

    unknown: Literal["error", "skip", "replace"] = "error"
    replacement: str = "?"


@dataclass(frozen=True, kw_only=True)
class SampleSettings:
    """How to decode. Every setting has a name of its own, whatever part it is in.

    Attributes:
        search: what is searched for, and how far.
        draw: from what the strategy sample draws.
        repetition: what is held against saying the same again.
        constraint: what the text must be; all that is given holds at once.
        beam: how the strategy beam searches.
        reading: how the prompt is read.
    """

    search: SearchSettings = SearchSettings()
    draw: DrawSettings = DrawSettings()
    repetition: RepetitionSettings = RepetitionSettings()
    constraint: ConstraintSettings = ConstraintSettings()
    beam: BeamSettings = BeamSettings()
    reading: PromptSettings = PromptSettings()

    def options(self, keep_tree: bool = False) -> Options:
        """The decoder's options. Raises ConfigError where they contradict one another, DataError for a bad file."""
        own = {name: value for name, value in self.by_name().items() if name in _SHARED and value is not None}
        search = self.search
        if search.strategy == "sample":
            own.setdefault("temperature", DEFAULT_TEMPERATURE)
        if search.strategy == "beam":
            own.setdefault("width", max(DEFAULT_WIDTH, search.count))
        return Options(
            **own,
            max_length=LENGTHS[search.strategy] if search.length is None else search.length,
            stop_strings=search.stop,
            stop_when_accepted=self.constraint.first_match,
            constraints=tuple(self.constraint.constraints()),
            ranker=Rank(alpha=search.alpha, bonus=search.bonus),
            keep_tree=keep_tree,
        )

    def with_strategy(self, strategy: Strategy) -> SampleSettings:
        """The same for another strategy, without what only this one knows."""
        foreign = [name for own, names in OWN.items() if own != strategy for name in names]
        if strategy in ("greedy", "sample"):
            foreign += ["alpha", "bonus"]
        plain = SampleSettings().by_name()
        return self.replaced(strategy=strategy, **{name: plain[name] for name in foreign if name in plain})

    def by_name(self) -> dict[str, Any]:
        """Every setting with its value, whatever part it is in."""
        parts = [getattr(self, part.name) for part in fields(self)]
        return {one.name: getattr(part, one.name) for part in parts for one in fields(part)}

    def replaced(self, **values: Any) -> SampleSettings:
        """With other values for some settings."""
        parts = {part.name: getattr(self, part.name) for part in fields(self)}
        mine = {name: values.keys() & {one.name for one in fields(part)} for name, part in parts.items()}
        return replace(self, **{n: replace(part, **{one: values[one] for one in mine[n]}) for n, part in parts.items()})


_SHARED = {field.name for field in fields(Options)}


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
