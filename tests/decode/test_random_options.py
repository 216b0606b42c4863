"""Options drawn at random, against a search that lists every sequence and applies each definition as it is written."""

from __future__ import annotations

import itertools
import math
import random
import re
from typing import Any

import numpy as np
import pytest

from elman.decode import Grammar, Infix, Options, Prefix, Reason, Regex, decode
from tests.decode.small import LETTERS, markov, network, predictions

GRAMMARS = {
    's ::= ("a" s "b")?': lambda t: t == "a" * (len(t) // 2) + "b" * (len(t) // 2),
    's ::= s "c" | ("a" | "b") t   t ::= "a" t | ""': lambda t: re.fullmatch("[ab]a*c*", t) is not None,
    's ::= "a" s "a" | "b" s "b" | "c"*': lambda t: (
        t == t[::-1] and re.fullmatch("([ab]{2})*|[ab]*c+[ab]*", t) is not None
    ),
}
EXPRESSIONS = ["[abc]*", "a*b?c*", "(ab|ba|c)+", ".{2,3}", "[^a]*a?", "(a|bc)*"]


class Oracle:
    """Lists what options allow, from the definitions."""

    def __init__(self, stepper: Any, prompt: list[int], options: Options) -> None:
        self.stepper, self.prompt, self.o = stepper, prompt, options

    def meets(self, text: str) -> bool:
        for constraint in self.o.constraints:
            if isinstance(constraint, Regex) and not re.fullmatch(constraint.expression, text):
                return False
            if isinstance(constraint, Grammar) and not GRAMMARS[constraint.source](text):
                return False
            if isinstance(constraint, Prefix) and not text.startswith(str(constraint.start)):
                return False
            if isinstance(constraint, Infix) and str(constraint.part) not in text:
                return False
        return True

    def text(self, tokens: tuple[int, ...]) -> str:
        return "".join(LETTERS[token] for token in tokens)

    def stopped_by(self, text: str) -> str | None:
        """The text before the stop string that it ends with."""
        ends = [stop for stop in self.o.stop_strings if text.endswith(stop)]
        return text[: -max(map(len, ends))] if ends else None

    def reason(self, tokens: tuple[int, ...]) -> Reason | None:
        """Why a sequence ends here, if it does and is an output; other sequences give None."""
        o = self.o
        body = tokens[:-1] if tokens and tokens[-1] in o.stop_tokens else tokens
        if any(token in o.stop_tokens for token in body):
            return None
        text = self.text(body)
        if any(stop in text[:-1] for stop in o.stop_strings) or (body != tokens and self.stopped_by(text) is not None):
            return None
        if body != tokens:
            return Reason.STOP_TOKEN if len(body) >= o.min_length and self.meets(text) else None
        before = self.stopped_by(text)
        if before is not None:
            return Reason.STOP_STRING if len(tokens) >= o.min_length and self.meets(before) else None
        if not self.meets(text) or len(tokens) < o.min_length:
            return None
        if len(tokens) == o.max_length:
            return Reason.LENGTH
        return (
            None
            if o.stop_tokens or not (o.constraints or o.stop_strings) or self.can_go_on(tokens)
            else Reason.CONSTRAINT
        )

    def repeats(self, tokens: tuple[int, ...]) -> bool:
        """Whether the last n tokens stand there before."""
        n, history = self.o.no_repeat_ngram, (*self.prompt, *tokens)
        grams = [history[k : k + n] for k in range(len(history) - n + 1)]
        return n > 0 and len(history) >= n and grams[-1] in grams[:-1]

    def can_go_on(self, tokens: tuple[int, ...]) -> bool:
        """Whether a next token that repeats nothing can lead to an end that meets the constraints."""
        size = self.stepper.size
        for length in range(len(tokens) + 1, self.o.max_length + 1):
            for rest in itertools.product(range(size), repeat=length - len(tokens)):
                longer = self.text((*tokens, *rest))
                if self.repeats((*tokens, rest[0])) or any(stop in longer[:-1] for stop in self.o.stop_strings):
                    continue
                before = self.stopped_by(longer)
                if self.meets(longer if before is None else before):
                    return True
        return False

    def score(self, tokens: tuple[int, ...]) -> float:
        """The sum of the adjusted log-probabilities; -inf for what is blocked."""
        o, total = self.o, 0.0
        rows = predictions(self.stepper, self.prompt, tokens)
        for place, token in enumerate(tokens):
            scores, text = rows[place].copy(), tokens[:place]
            for k in range(self.stepper.size):
                if k in self.prompt or k in text:
                    scores[k] *= o.repetition_penalty
                scores[k] -= o.frequency_penalty * text.count(k) + o.presence_penalty * (k in text)
                scores[k] += o.bias.get(k, 0.0)
            if o.adjusts:
                scores -= np.log(np.exp(scores).sum())
            total += float(scores[token])
            if self.repeats((*text, token)):
                return -math.inf
        return total

    def outputs(self) -> dict[tuple[int, ...], tuple[float, Reason]]:
        found = {}
        for length in range(self.o.max_length + 1):
            for tokens in itertools.product(range(self.stepper.size), repeat=length):
                if (reason := self.reason(tokens)) is not None and (score := self.score(tokens)) > -math.inf:
                    found[tokens] = score, reason
        return found


def drawn(pick: random.Random) -> dict[str, Any]:
    limit = pick.choice([3, 4])
    options: dict[str, Any] = {"max_length": limit, "min_length": pick.choice([0, 0, 1, 2])}
    if pick.random() < 0.5:
        options["stop_tokens"] = (3,)
    if pick.random() < 0.4:
        options["stop_strings"] = pick.choice([("b",), ("ab", "ca"), ("cc",), ("abc", "b")])
    if pick.random() < 0.3:
        options["no_repeat_ngram"] = pick.choice([1, 2, 3])
    if pick.random() < 0.3:
        options |= {"repetition_penalty": pick.choice([0.8, 1.7]), "presence_penalty": 0.4, "frequency_penalty": -0.3}
    if pick.random() < 0.3:
        options["bias"] = {pick.randrange(4): pick.choice([2.0, -1.0])}
    choices = [Regex(pick.choice(EXPRESSIONS)), Prefix(pick.choice("abc")), Infix(pick.choice(["a", "bc", "cc"]))]
    if "stop_strings" not in options:
        choices.append(Grammar(pick.choice(sorted(GRAMMARS))))
    options["constraints"] = tuple(pick.sample(choices, pick.choice([0, 0, 1, 1, 2])))
    return options


@pytest.mark.parametrize("seed", range(200))
def test_every_output_and_no_other(seed: int) -> None:
    pick = random.Random(seed)
    stepper = pick.choice([markov, network])(4, seed)
    options, prompt = drawn(pick), [0, 2]
    expected = Oracle(stepper, prompt, Options(**options)).outputs()
    if not expected:
        return
    wide = Options(strategy="beam", width=4**4, count=4**4, early="never", **options)
    (result,) = decode(stepper, [prompt], wide)
    found = {tuple(o.tokens.tolist()): o for o in result.outputs}
    assert found.keys() == expected.keys()
    for tokens, output in found.items():
        score, reason = expected[tokens]
        assert output.rank == pytest.approx(score, abs=1e-9)
        assert output.reason is reason or (output.reason, reason) == (Reason.CONSTRAINT, Reason.LENGTH)
    (exact,) = decode(stepper, [prompt], Options(strategy="exact", **options))
    assert exact.proved
    assert exact.best.rank == pytest.approx(max(score for score, _ in expected.values()), abs=1e-9)
    (samples,) = decode(stepper, [prompt], Options(strategy="sample", count=30, **options))
    for output in samples.outputs:
        assert tuple(output.tokens.tolist()) in expected or not output.finished
