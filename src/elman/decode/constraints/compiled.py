"""From the constraints that are asked for to one automaton that is in force."""

from __future__ import annotations

from functools import reduce

import numpy as np

from elman.decode.constraints import automaton as automata
from elman.decode.constraints import pattern
from elman.decode.constraints.automaton import Automaton
from elman.decode.constraints.budget import WorkBudget
from elman.decode.constraints.constraint import Alphabet, Constraint
from elman.decode.constraints.earley import Rules
from elman.decode.constraints.force import Force, Tables, TextLimits
from elman.decode.constraints.grammar import Grammar
from elman.decode.constraints.recogniser import Recogniser
from elman.decode.constraints.stops import with_stops
from elman.decode.options import Options
from elman.decode.spelling import Spelling, needs_spelling
from elman.errors import ConfigError


def compiled(options: Options, size: int, spelling: Spelling | None) -> Force | None:
    """Bring constraints and stop strings into force; None where there are none.

    Raises:
        ConfigError: constraints that can never be met, are too large, or speak of text where tokens have none.
    """
    if not options.constraints and not options.stop_strings:
        return None
    limits, budget = TextLimits.of(options), WorkBudget(options.max_states)
    over_text = [constraint for constraint in options.constraints if not constraint.is_over_tokens]
    alphabet = None
    if over_text or options.stop_strings:
        what = f"the constraint {type(over_text[0]).__name__}" if over_text else "a stop string"
        alphabet = Alphabet(needs_spelling(spelling, what), budget)
    derived, regular = _grammars(over_text)
    texts: list[Automaton] = []
    if alphabet is not None:
        texts = [constraint.over_text(alphabet) for constraint in regular]
        texts += [alphabet.automaton(pattern.inlined(pattern.Name(next(iter(rules))), rules)) for rules in derived[1:]]
    tokens = [constraint.over_tokens(size) for constraint in options.constraints if constraint.is_over_tokens]
    # Stop tokens are no part of a text.
    barred = [*options.stop_tokens, *(token for token, value in options.bias.items() if value == -np.inf)]
    tables = Tables(_regular(texts, tokens, options, alphabet, budget), limits, barred)
    if not derived or alphabet is None:
        return tables
    return Recogniser(Rules(derived[0], alphabet), tables, alphabet, limits)


def _grammars(constraints: list[Constraint]) -> tuple[list[dict[str, pattern.Pattern]], list[Constraint]]:
    """The rules of the grammars, one that recurs in front; and the other constraints.

    Two languages without a regular one among them cannot be told to have a text in common.
    """
    grammars = [constraint for constraint in constraints if isinstance(constraint, Grammar)]
    rules = sorted((grammar.rules() for grammar in grammars), key=pattern.recurs, reverse=True)
    if len(rules) > 1 and pattern.recurs(rules[1]):
        raise ConfigError("two grammars that recur cannot hold at once: make them one, or write one without recursion")
    return rules, [constraint for constraint in constraints if constraint not in grammars]


def _regular(
    texts: list[Automaton], tokens: list[Automaton], options: Options, alphabet: Alphabet | None, budget: WorkBudget
) -> Automaton:
    """What is regular, over tokens."""
    both = lambda one, other: one.intersect(other, budget)  # noqa: E731
    if alphabet is None:
        return reduce(both, tokens)
    text = reduce(both, texts) if texts else automata.everything(alphabet.size)
    units = alphabet.of_tokens()
    stops = [symbols for stop in options.stop_strings if (symbols := alphabet.symbols(stop)) is not None]
    if stops:
        text = with_stops(text, stops, max(map(len, units)), budget)
    return reduce(both, [text.over_tokens(units, budget), *tokens])
