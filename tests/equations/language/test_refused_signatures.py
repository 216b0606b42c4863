"""A decorator and an argument list that do not fit together are refused, with the cell, its line and the cure."""

from __future__ import annotations

import functools

import pytest

from elman import EquationError, cell, tanh
from tests.equations.sources import make, refused

# The decorator's arguments, the function's, and what must be said about them.
SIGNATURES = {
    "no states": ('states=""', "x, h, W", "there are no states", 'states="h:P c"'),
    "no inputs": ('states="h", inputs=""', "h, W", "there are no inputs", 'inputs="x dt:1"'),
    "small size letter": ('states="h:p"', "x, h, W", 'the size of h is one capital letter or "1", got \'p\'', "h:P c"),
    "long size letter": ('states="h:HH"', "x, h, W", "got 'HH'", 'states="h:P c"'),
    "another number": ('states="h", inputs="x:2"', "x, h, W", "got '2'", 'inputs="x dt:1"'),
    "no size letter": ('states="h:"', "x, h, W", "got ''", 'states="h:P c"'),
    "foreign size letter": ('states="h:Ω"', "x, h, W", "got 'Ω'", 'states="h:P c"'),
    "no identifier": ('states="1h"', "x, h, W", "states name '1h', which is no name", 'states="h:P c"'),
    "reserved state": ('states="T"', "x, T, W", "states name 'T', which is no name, or one of T, mT", 'states="h:P c"'),
    "reserved input": ('states="h", inputs="shape"', "shape, h, W", "inputs name 'shape'", 'inputs="x dt:1"'),
    "reserved group": ('states="h"', "x, h, dtype", "the argument dtype has a reserved name", "do not use T, mT"),
    "reserved option": ('states="h"', "x, h, W, *, T=1.0", "the argument T has a reserved name", "do not use T, mT"),
    "state before input": ('states="h"', "h, x, W", "must begin with x, h and are h, x, W", "inputs come first"),
    "group before state": ('states="h c"', "x, h, W, c", "begin with x, h, c and are x, h, W, c", "then the states"),
    "state forgotten": ('states="h c"', "x, h, W", "must begin with x, h, c and are x, h, W", "then the states"),
    "no arguments": ('states="h"', "", "must begin with x, h and are none", "inputs come first"),
    "name twice": ('states="h h"', "x, h, W", "must begin with x, h, h", "each once"),
    "unknown start": ('states="h", start={"m": 1.0}', "x, h, W", "start names 'm', which is no state", "are h"),
    "start of an input": ('states="h", start={"x": 1.0}', "x, h, W", "start names 'x', which is no state", "are h"),
    "text as start": ('states="h", start={"h": "0"}', "x, h, W", "h starts at '0'", "one finite number"),
    "endless start": ('states="h", start={"h": float("inf")}', "x, h, W", "h starts at inf", "one finite number"),
    "option without default": ('states="h"', "x, h, W, *, eps", "the option eps has no default", "write *, eps=1.0"),
    "text as option": ('states="h"', "x, h, W, *, act='tanh'", "the option act='tanh' is no finite number", "act=1.0"),
    "endless option": ('states="h"', "x, h, W, *, eps=1e999", "the option eps=inf is no finite number", "eps=1.0"),
    "option before the star": ('states="h"', "x, h, W, eps=1.0", "the argument eps=1.0 has a default", "*, eps=1.0"),
    "any arguments": ('states="h"', "x, h, *W", "the argument *W takes anything", "name each"),
    "any keywords": ('states="h"', "x, h, W, **more", "the argument **more takes anything", "name each"),
    "output is an input": ('states="h", output="x"', "x, h, W", "the output is called 'x'", "a name of its own"),
    "output is a group": ('states="h", output="W"', "x, h, W", "the output is called 'W'", "a name of its own"),
    "output has no name": ('states="h", output="y 1"', "x, h, W", "the output is called 'y 1'", "a name of its own"),
    "output is empty": ('states="h", output=""', "x, h, W", "the output is called ''", "a name of its own"),
}  # fmt: skip


@pytest.mark.parametrize(("decorator", "arguments", "problem", "cure"), SIGNATURES.values(), ids=SIGNATURES)
def test_signatures(decorator, arguments, problem, cure):
    message = refused(
        f"""
        @cell({decorator})  # HERE
        def step({arguments}):
            return tanh(W @ x)
        """
    )
    assert problem in message
    assert cure in message.partition("; ")[2]


@pytest.mark.parametrize(
    "source", ["async def step(x, h, W):\n    return W @ x", "def step(x, h, W):\n    yield W @ x",
               "async def step(x, h, W):\n    yield W @ x"],
)  # fmt: skip
def test_functions_that_do_not_return_at_once(source):
    message = refused('@cell(states="h")  # HERE\n' + source)
    assert "the function is async, or yields; one step is a plain function" in message


def test_an_output_that_is_no_state_comes_last():
    message = refused(
        """
        @cell(states="h", output="y")
        def step(x, h, W):
            h = tanh(W @ x)
            return h  # HERE
        """
    )
    assert "1 value returned, 2 expected; end with return h, y" in message


@pytest.mark.parametrize("value", [functools.partial(tanh), 3, "step", print, type("Step", (), {})()])
def test_what_is_no_function(value):
    with pytest.raises(EquationError, match=r"@cell stands before a .*; write a plain function: def"):
        cell(states="h")(value)


def test_a_lambda():
    with pytest.raises(EquationError, match=r"^<lambda>: line \d+ .*the function has no plain name; write it with def"):
        cell(states="h")(lambda x, h, W: W @ x)


def test_no_states_said():
    with pytest.raises(EquationError, match=r'^step: @cell is used without its states; write @cell\(states="h"\)'):
        make("@cell\ndef step(x, h, W):\n    return W @ x")


def test_unknown_words():
    with pytest.raises(TypeError, match="state"):
        make('@cell(state="h")\ndef step(x, h, W):\n    return W @ x')
