"""What is asked for, as one value that is checked in one place."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import Literal

from elman.checks import as_float, shown
from elman.decode.constraints.constraint import Constraint
from elman.decode.rankers import Rank
from elman.decode.roles import Ranker
from elman.decode.spelling import Unknown
from elman.errors import ConfigError

Strategy = Literal["greedy", "sample", "beam", "exact"]
Early = Literal["proved", "first", "never"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to decode.

    Attributes:
        strategy: "greedy" takes the likeliest token each time, "sample" draws, "beam" follows the best few prefixes,
            "exact" finds the best finished sequence of all, if the budget suffices.
        max_length: tokens at most, a stop token included. A sequence that gets there is cut, which is an end as well.
        min_length: tokens at least before a stop token may come; with a stop string, that many together with it.
        count: outputs for each prompt: samples, or the n best.
        seed: of the draws, 0 … 2^64 - 1, or a tuple with one for each prompt. A prompt's sample k under a seed is the
            same text whatever stands beside it; so one prompt given twice is drawn from alike: ask for count=2.
        stop_tokens: any of them ends a sequence; kept in its tokens, not in its text.
        stop_strings: the text ends before the one that is completed first, wherever token boundaries lie; of several
            completed at once, before the longest.
        constraints: what the text must be (`elman.decode.constraints.kinds`).
        max_states: states that constraints and stop strings may be compiled to; the work is limited with them.
        stop_when_accepted: end as soon as the constraints are satisfied, rather than when nothing more may come.
        temperature: of sampling; the log-probabilities are divided by it.
        top_k: draw from the k likeliest tokens; 0 is off.
        top_p: draw from the fewest likeliest tokens that hold this much probability; 1 is off.
        min_p: draw from tokens at least this many times as likely as the likeliest; 0 is off.
        typical_p: draw from the fewest tokens nearest to the entropy that hold this much probability; 1 is off.
        repetition_penalty: multiplies the log-probabilities of tokens in prompt or text so far; 1 is off.
        frequency_penalty: taken off a token's log-probability for each time it stands in the text so far.
        presence_penalty: taken off once if it stands there at all.
        no_repeat_ngram: no n tokens stand twice in prompt and text, a stop token at its end left aside; 0 is off.
        bias: added to the log-probability of a token; -inf forbids it.
        width: of the beam.
        groups: beams of width / groups each that differ; 1 is off.
        diversity: taken off a token's score for each hypothesis of an earlier group that chose it at this step.
        stochastic: draw the beam without replacement, by Gumbel noise with `seed`.
        early: when a beam may end: once no hypothesis on its way can beat the finished ones ("proved", by the ranker's
            bound), with the first `count` finished ones ("first"), or with the last hypothesis ("never").
        ranker: what finished hypotheses are compared by.
        keep_tree: keep what the beam kept, finished and pruned.
        budget: steps of one sequence that the exact search may take.
        unknown: what happens to characters of a prompt that the model does not know.
        replacement: of those, where they are replaced.

    Raises:
        ConfigError: a value out of range, or options that contradict one another, all of them in one message.
    """

    strategy: Strategy = "greedy"
    max_length: int = 100
    min_length: int = 0
    count: int = 1
    seed: int | tuple[int, ...] = 0
    stop_tokens: tuple[int, ...] = ()
    stop_strings: tuple[str, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    stop_when_accepted: bool = False
    max_states: int = 200_000
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    no_repeat_ngram: int = 0
    bias: Mapping[int, float] = field(default_factory=dict)
    width: int = 1
    groups: int = 1
    diversity: float = 0.0
    stochastic: bool = False
    early: Early = "proved"
    ranker: Ranker = field(default_factory=Rank)
    keep_tree: bool = False
    budget: int = 100_000
    unknown: Unknown = "error"
    replacement: str = "?"

    def __post_init__(self) -> None:
        for name in ("stop_tokens", "stop_strings", "constraints", "seed"):
            if isinstance(given := getattr(self, name), list):
                object.__setattr__(self, name, tuple(given))
        faults = [*_wrong_kinds(self)]
        if faults:
            raise ConfigError("; ".join(faults))
        faults = [*_out_of_range(self), *_contradictions(self)]
        if faults:
            raise ConfigError("; ".join(faults))

    @property
    def adjusts(self) -> bool:
        """Whether penalties or biases make another distribution of the model's."""
        unchanged = self.repetition_penalty == 1 and self.frequency_penalty == 0 and self.presence_penalty == 0
        return bool(self.bias) or not unchanged

    @property
    def counts_tokens(self) -> bool:
        """Whether it matters which tokens the text has so far."""
        return self.repetition_penalty != 1 or self.frequency_penalty != 0 or self.presence_penalty != 0


def _wrong_kinds(o: Options) -> Iterator[str]:
    for name in ("stop_tokens", "stop_strings", "constraints"):
        if not isinstance(getattr(o, name), tuple):
            yield f"{name} must be a tuple, got {shown(getattr(o, name))}"
            return
    for name, choices in _CHOICES.items():
        if not isinstance(getattr(o, name), str):
            yield f"{name} must be one of {', '.join(choices)}, got {shown(getattr(o, name))}"
    for name in _SWITCHES:
        if not isinstance(getattr(o, name), bool):
            yield f"{name} must be True or False, got {shown(getattr(o, name))}"
    for name, least in _LEAST.items():
        if not _is_whole(getattr(o, name)):
            yield f"{name} must be a whole number of at least {least}, got {shown(getattr(o, name))}"
    for name, (_, _, says) in _RANGES.items():
        if as_float(getattr(o, name)) is None:
            yield f"{name} must be {says}, got {shown(getattr(o, name))}"
    if not isinstance(o.replacement, str):
        yield f"replacement must be text, got {shown(o.replacement)}"
    yield from _wrong_kinds_inside(o)


def _wrong_kinds_inside(o: Options) -> Iterator[str]:
    if not isinstance(o.bias, Mapping) or not all(as_float(value) is not None for value in o.bias.values()):
        yield f"bias must give a number for each token that it names, got {shown(o.bias)}"
        return
    if not isinstance(o.ranker, Ranker):
        yield f"ranker must be a Rank, a UserRank, or another Ranker, got {shown(o.ranker)}"
    for token in (*o.stop_tokens, *o.bias):
        if not _is_whole(token):
            yield f"stop_tokens and biases name tokens by their numbers, got {shown(token)}"
    for constraint in o.constraints:
        if not isinstance(constraint, Constraint):
            yield f"constraints are values such as Regex(…) or Prefix(…), got {shown(constraint)}"


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _out_of_range(o: Options) -> Iterator[str]:
    for name, choices in _CHOICES.items():
        if getattr(o, name) not in choices:
            yield f"{name} must be one of {', '.join(choices)}, got {getattr(o, name)!r}"
    for name, least in _LEAST.items():
        if int(getattr(o, name)) < least:
            yield f"{name} must be a whole number of at least {least}, got {getattr(o, name)!r}"
    for name in ("count", "width"):  # memory is taken for each of them
        if int(getattr(o, name)) > _MOST:
            yield f"{name} must be at most {_MOST:,}, got {getattr(o, name)!r}"
    for name, (low, high, says) in _RANGES.items():
        value = getattr(o, name)
        if not (low <= value <= high and math.isfinite(value)):
            yield f"{name} must be {says}, got {value!r}"
    yield from _bad_values(o)


def _bad_values(o: Options) -> Iterator[str]:
    for seed in o.seed if isinstance(o.seed, tuple) else (o.seed,):
        if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) < 1 << 64:
            yield f"seed must be a whole number, 0 … 2^64 - 1, or a tuple of them; got {seed!r}"
    if any(token < 0 for token in o.stop_tokens):
        yield f"stop_tokens must be tokens, 0 or above, got {shown(o.stop_tokens)}"
    if any(token < 0 for token in o.bias):
        yield f"bias must name tokens, 0 or above, got {min(o.bias)}"
    if any(not isinstance(text, str) or not text for text in o.stop_strings):
        yield f"stop_strings must be texts that are not empty, got {o.stop_strings!r}"
    for token, value in o.bias.items():
        if math.isnan(value) or value == math.inf:
            yield f"the bias of token {token} must be a number or -inf, got {value}"


_CHOICES = {
    "strategy": ("greedy", "sample", "beam", "exact"),
    "early": ("proved", "first", "never"),
    "unknown": ("error", "skip", "replace"),
}
_SWITCHES = ("stop_when_accepted", "stochastic", "keep_tree")
_LEAST = {"max_length": 0, "min_length": 0, "count": 1, "top_k": 0, "no_repeat_ngram": 0, "width": 1}
_LEAST |= {"groups": 1, "budget": 1, "max_states": 1}
_MOST = 1 << 20
_TINY, _HUGE = 5e-324, math.inf
_REWARD = -1e6  # a negative penalty is added for each time; sums of larger ones are not finite
_RANGES = {
    "temperature": (0.0, _HUGE, "0 or above and finite"),
    "top_p": (_TINY, 1.0, "above 0 and at most 1"),
    "min_p": (0.0, 1.0, "0 … 1"),
    "typical_p": (_TINY, 1.0, "above 0 and at most 1"),
    "repetition_penalty": (_TINY, _HUGE, "above 0 and finite"),
    "frequency_penalty": (_REWARD, _HUGE, "-1e6 or above and finite"),
    "presence_penalty": (_REWARD, _HUGE, "-1e6 or above and finite"),
    "diversity": (0.0, _HUGE, "0 or above and finite"),
}
# Options that only one strategy reads: what differs from its default contradicts another strategy.
OWN = {
    "sample": ("temperature", "top_k", "top_p", "min_p", "typical_p"),
    "beam": ("width", "groups", "diversity", "stochastic", "early", "keep_tree"),
    "exact": ("budget",),
}


def _contradictions(o: Options) -> Iterator[str]:
    for strategy, names in OWN.items():
        if o.strategy != strategy:
            for name in names:
                if getattr(o, name) != Options.__dataclass_fields__[name].default:
                    yield f"{name} is for strategy {strategy!r}, not for {o.strategy!r}: leave one of them out"
    if o.min_length > o.max_length:
        yield f"min_length {o.min_length} is above max_length {o.max_length}"
    if o.replacement != "?" and o.unknown != "replace":
        yield f"replacement is for unknown='replace', not for {o.unknown!r}: leave one of them out"
    if o.strategy == "greedy" and o.count > 1:
        yield f"greedy gives one output for a prompt, count is {o.count}: sample, or search with a beam"
    if o.strategy in ("greedy", "sample") and o.ranker != Rank():
        yield f"a ranker compares finished hypotheses; strategy {o.strategy!r} has none to compare"
    if o.strategy == "exact" and not o.ranker.has_bound:
        yield "the exact search needs a ranker with a bound: give bound= to it, or use a beam"
    yield from _beam_contradictions(o)


def _beam_contradictions(o: Options) -> Iterator[str]:
    if o.strategy != "beam":
        return
    if o.count > o.width:
        yield f"the {o.count} best are asked of a beam of width {o.width}: make it wider"
    if o.width % max(1, o.groups):
        yield f"width {o.width} must be a multiple of groups, {o.groups}"
    if o.diversity and o.groups == 1:
        yield "diversity needs groups that can differ: groups is 1"
    if o.stochastic and o.groups > 1:
        yield "a stochastic beam draws without replacement and needs no groups: leave one of them out"
    if o.stochastic and o.ranker != Rank():
        yield "a stochastic beam is ordered by its draws: leave the ranker out"
    if o.early == "proved" and not o.ranker.has_bound:
        yield "early='proved' needs a ranker with a bound: give bound= to it, or early='first' or 'never'"
