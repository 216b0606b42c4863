"""Constraints over tokens that write pieces of characters, against everything written out."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.decode import Grammar, Infix, Options, Regex, Spelling, TableStepper, Utf8, decode
from elman.errors import ConfigError

PIECES = [b"a", b"\xc3", b"\xa9", b"\xc3\xa9", b"a\xc3", b"\xa9a\xc3", b""]
STOP = 6
CONSTRAINTS: list[tuple[Any, Any]] = [
    (Utf8(), lambda t: True),
    (Regex("a*é.*"), lambda t: re.fullmatch("a*é.*", t)),
    (Infix("éa"), lambda t: "éa" in t),
    (Grammar('s ::= "é"+ "a"?'), lambda t: re.fullmatch("é+a?", t)),
    (Grammar('s ::= s "é" | "a" | [^b-z] - "é"'), lambda t: re.fullmatch("[^b-zé]é*", t)),
    (Grammar('s ::= ("a" | "é")* - ("é" "a"*)'), lambda t: re.fullmatch("(?!éa*$)[aé]*", t)),
]


def stepper() -> TableStepper:
    size = len(PIECES)
    table = np.random.default_rng(0).dirichlet(np.full(size, 0.9), size=size) * 0.98 + 0.02 / size
    return TableStepper(table, Spelling.of(PIECES))


def judged(tokens: tuple[int, ...], stop: str | None, tests: list[Any]) -> tuple[bool, bool]:
    """Whether the text is legal, and whether a stop string ended it."""
    written = b"".join(PIECES[t] for t in tokens)
    has_stopped = stop is not None and stop.encode() in written
    if stop is not None and has_stopped:
        written = written[: written.index(stop.encode())]
    try:
        return all(test(written.decode()) for test in tests), has_stopped
    except UnicodeDecodeError:
        return False, has_stopped


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(range(6)), min_size=1, max_size=2, unique=True).filter(
        lambda k: sum(i > 3 for i in k) < 2
    ),
    st.integers(1, 4),
    st.sampled_from([None, "é", "aa"]),
    st.data(),
)
def test_pieces_of_characters(chosen: list[int], most: int, stop: str | None, data: Any) -> None:
    least = data.draw(st.integers(0, most))
    constraints, tests = zip(*(CONSTRAINTS[k] for k in {0, *chosen}), strict=True)
    expected, going = set(), [()]
    for _ in range(most + 1):
        for tokens in going:
            is_legal, has_stopped = judged(tokens, stop, tests)  # type: ignore[arg-type]
            if is_legal and len(tokens) >= least:
                expected.add(tokens if has_stopped or len(tokens) == most else (*tokens, STOP))
        going = [(*t, k) for t in going if len(t) < most and not judged(t, stop, tests)[1] for k in range(STOP)]  # type: ignore[arg-type,misc]
    options = Options(
        strategy="beam", width=7**most, count=7**most, early="never", max_length=most, min_length=least,
        stop_tokens=(STOP,), stop_strings=() if stop is None else (stop,), constraints=constraints,
    )  # fmt: skip
    if not expected:
        with pytest.raises(ConfigError):
            decode(stepper(), [[0]], options)
        return
    assert {tuple(output.tokens.tolist()) for output in decode(stepper(), [[0]], options)[0].outputs} == expected
