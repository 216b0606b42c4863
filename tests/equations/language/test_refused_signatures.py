"""A decorator and an argument list that do not fit together are refused, with the cell, its line and the cure."""

from __future__ import annotations

import functools

import pytest

import elman
from elman import EquationError, cell, tanh
from elman.equations.language.unknown import FUNCTIONS
from tests.equations.sources import NAMES, make, refused

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
    "start of 400 digits": ('states="h", start={"h": 10**400}', "x, h, W", "h starts at 1000", "one finite number"),
    "option of 400 digits": ('states="h"', "x, h, W, *, eps=10**400", "is no finite number", "eps=1.0"),
    "start beyond float32": ('states="h", start={"h": -1e39}', "x, h, W", "h starts at -1e+39", "which float32 holds"),
    "constant beyond float32": ('states="h", constants={"W": [1e39]}', "x, h, W", "number of float32", "nested lists"),
    "option beyond float32": ('states="h"', "x, h, W, *, k=1e39", "k=1e+39 is no finite number of float32", "k=1.0"),
    "bytes": ('states=b"h"', "x, h, W", "states must be a text or a list of words, got bytes", 'states="h:P c"'),
    "option without default": ('states="h"', "x, h, W, *, eps", "the option eps has no default", "write *, eps=1.0"),
    "text as option": ('states="h"', "x, h, W, *, act='tanh'", "the option act='tanh' is no finite number", "act=1.0"),
    "endless option": ('states="h"', "x, h, W, *, eps=1e999", "the option eps=inf is no finite number", "eps=1.0"),
    "option before the star": ('states="h"', "x, h, W, eps=1.0", "the argument eps=1.0 has a default", "*, eps=1.0"),
    "any arguments": ('states="h"', "x, h, *W", "the argument *W takes anything", "name each"),
    "any keywords": ('states="h"', "x, h, W, **more", "the argument **more takes anything", "name each"),
    "output is an input": ('states="h", output="x"', "x, h, W", "the output is called 'x'", "a name of its own"),
    "output is a group": ('states="h", output="W"', "x, h, W", "the output is called 'W'", "a name of its own"),
    "output has no name": ('states="h", output="y 1"', "x, h, W", "the output is called 'y 1'", "a name of its own"),
    "number as states": ("states=3", "x, h, W", "states must be a text or a list of words, got int", 'states="h:P c"'),
    "nothing as states": ("states=None", "x, h, W", "states must be a text or a list of words, got NoneType", "h:P c"),
    "numbers in states": ('states=["h", 1]', "x, h, W", "list of words, got str, int", 'states="h:P c"'),
    "set of states": ('states={"h"}', "x, h, W", "a text or a list of words, got set", 'states="h:P c"'),
    "two words in one": ('states=["h c"]', "x, h, c, W", "states name 'h c', which is no name", 'states="h:P c"'),
    "number as inputs": ('states="h", inputs=1', "x, h, W", "inputs must be a text or a list", 'inputs="x dt:1"'),
    "list as output": ('states="h", output=["h"]', "x, h, W", "output is a list", 'output="y"'),
    "size of an output state": ('states="h", output="h:P"', "x, h, W", "h is a state and has a size here", "declared"),
    "small size of an output": ('states="h", output="y:p"', "x, h, W", "the size of y is one capital letter", "h:P c"),
    "number as start": ('states="h", start=1.0', "x, h, W", "start is a float", 'start={"m": 1.0}'),
    "pairs as start": ('states="h", start=[("h", 1.0)]', "x, h, W", "start is a list", 'start={"m": 1.0}'),
    "number as parameters": ('states="h", parameters=1', "x, h, W", "parameters must be a text or a list", "v:1"),
    "parameter without size": ('states="h", parameters="W"', "x, h, W", "the size of W is one capital letter", "v:1"),
    "small size of one": ('states="h", parameters="W:r"', "x, h, W", "of W is one capital letter", "W.down:R"),
    "three sizes": ('states="h", parameters="W:H,D,R"', "x, h, W", "W has 3 sizes", "rows and columns"),
    "sizes twice": ('states="h", parameters="W:R W:H"', "x, h, W", "parameters name W twice", "give it one size"),
    "no parameter": ('states="h", parameters="1:R"', "x, h, W", "parameters name '1'", "W.down:R"),
    "size of nothing": ('states="h", parameters="V:R"', "x, h, W", "parameters name V, which is no", "it has W"),
    "size of a state": ('states="h", parameters="h:R"', "x, h, W", "parameters name h, which is no", "it has W"),
    "constant of nothing": ('states="h", constants={"A": [1]}', "x, h, W", "constants name A, which is no", "it has W"),
    "list of constants": ('states="h", constants=[1]', "x, h, W", "constants is a list", 'constants={"A": array}'),
    "constant without name": ('states="h", constants={1: [1]}', "x, h, W", "constants name 1, which is no name", "A"),
    "number as constant": ('states="h", constants={"W": 1.0}', "x, h, W", "the constant W is 1.0", "an option: *, k"),
    "empty constant": ('states="h", constants={"W": []}', "x, h, W", "the constant W is []", "nested lists"),
    "empty row": ('states="h", constants={"W": [[]]}', "x, h, W", "unlike lengths, or empty", "nested lists"),
    "uneven constant": ('states="h", constants={"W": [[1], [1, 2]]}', "x, h, W", "unlike lengths", "nested lists"),
    "text in a constant": ('states="h", constants={"W": ["a"]}', "x, h, W", "no finite number", "nested lists"),
    "constant of 400 digits": ('states="h", constants={"W": [10**400]}', "x, h, W", "no finite number", "nested"),
    "endless constant": ('states="h", constants={"W": [1e999]}', "x, h, W", "no finite number", "nested lists"),
    "deep constant": ('states="h", constants={"W": [[[1]]]}', "x, h, W", "no finite number", "nested lists"),
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


def test_a_size_that_is_declared_and_never_used():
    message = refused(
        """
        @cell(states="h", parameters="W.up:R")  # HERE
        def step(x, h, W):
            return tanh(W.down @ x)
        """
    )
    assert "parameters name W.up, which is never used; use it, or leave its size out" in message


def test_a_constant_of_the_wrong_kind():
    message = refused(
        """
        @cell(states="h", constants={"A": [1.0, 2.0]})
        def step(x, h, W, A):
            return A @ h + W @ x  # HERE
        """
    )
    assert "the constant A has 1 axes and is used as a matrix; a vector is used element by element" in message


def test_two_sizes_of_a_vector():
    message = refused(
        """
        @cell(states="h", parameters="b:H,D")
        def step(x, h, W, b):
            return W @ x + b  # HERE
        """
    )
    assert "b is declared with 2 sizes and used element by element; give it one size" in message


def test_an_output_of_another_size():
    message = refused(
        """
        @cell(states="h", output="y:P")
        def step(x, h, W):
            return h, tanh(W @ x) * h  # HERE
        """
    )
    assert 'the output y has size P and is returned with size H; declare it in output="y:H"' in message


def test_an_unused_constant():
    message = refused('@cell(states="h", constants={"A": [1.0]})  # HERE\ndef step(x, h, W, A):\n    return W @ x')
    assert "the constant A is never used" in message


UNKNOWN = {
    "softsign(h)": "softsign is no argument, local or function here; is softplus meant? the functions are abs",
    "hh * 2": "hh is no argument, local or function here; is h meant? the functions are abs, block_diagonal",
    "qqqq(h)": "qqqq is no argument, local or function here; the functions are abs, block_diagonal",
    "sigma(h)": "sigma is no argument, local or function here; is sigmoid meant? the functions are",
    "elman.softsign(h)": "softsign is no argument, local or function here; is softplus meant?",
}


@pytest.mark.parametrize(("text", "expected"), UNKNOWN.items())
def test_names_that_do_not_exist(text, expected):
    message = refused(f'@cell(states="h")\ndef step(x, h, W):\n    return W @ x + {text}  # HERE', elman=elman)
    assert expected in message


def test_a_function_that_is_not_imported():
    with pytest.raises(EquationError, match=r"^step: line 2: tanh is not known here; write from elman import tanh"):
        eval("cell(states='h')(step)", {"cell": cell, "step": _without_names()})


def _without_names():
    """A function whose module knows none of elman's names."""
    names: dict = {}
    exec("def step(x, h, W):\n    return tanh(W @ x)", names)
    return names["step"]


def test_the_functions_that_are_listed_are_all_that_there_are():
    assert set(FUNCTIONS) == set(NAMES) - {"cell", "from_graph"}
    assert all(callable(getattr(elman, name)) for name in FUNCTIONS)
