"""Random cells as text, made of every operation and every kind of size, and arrays for them."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from elman.equations import Cell, Graph
from elman.equations.graph.operations import OPERATIONS
from tests.equations.sources import NAMES, make

SIZES = {"D": 3, "H": 4, "P": 2}
MANY = settings(max_examples=3 * settings.default.max_examples)  # for tests that are quick, or that found much
Choose = Callable[[Sequence[Any]], Any]

# Unary expressions, kept where they are smooth and bounded.
UNARY = (
    "-{0}", "sigmoid({0})", "tanh({0})", "relu({0})", "softplus({0})", "abs({0})", "exp(tanh({0}))",
    "log(1.5 + abs({0}))", "sqrt(0.5 + {0} * {0})", "exp(-softplus({0}))",
    "sin({0})", "floor(0.37 + {0})", "round(0.13 + {0})",
)  # fmt: skip
BINARY = (
    "{0} + {1}",
    "{0} - {1}",
    "{0} * {1}",
    "{0} / (1 + {1} * {1})",
    "minimum({0}, {1})",
    "maximum({0}, {1})",
    "where({0} > {1}, {0}, {1})",
    "where({0} <= 0.25, {1}, 0.5)",
    "({0} < {1}) * {0}",
    "({0} >= {1}) - {1}",
    "mod(0.41 + {0}, 1.5 + tanh({0} - {1}))",
    "straight_through(step({0} - 0.21), sigmoid({0} + {1}))",
    "where({0} > 0.5, log({0}), {1})",
    "where({0} < {1}, {0}, sqrt(0.3 + {0} - {1}))",
)
# Of all units of a vector.
UNITS = (
    "softmax({0})", "shift({0}, 1)", "shift({0}, -3)", "({0} - mean({0}))", "(sum({0}) * {1})", "dot({0}, {1})",
)  # fmt: skip
# Of the functions that need no care: every other one of the table.
UNARY += tuple(
    f"{row.name}({{0}})"
    for row in OPERATIONS.values()
    if row.written and row.arity == 1 and not row.mixes and row.name in NAMES and f"{row.name}(" not in " ".join(UNARY)
)
BINARY += tuple(
    f"{row.name}({{0}}, {{1}})"
    for row in OPERATIONS.values()
    if row.written and row.arity == 2 and not row.mixes and row.name in NAMES and f"{row.name}(" not in " ".join(BINARY)
)


class _Author:
    """Writes a cell: `values` are the names at hand by size letter, `members` the parameters used so far."""

    def __init__(self, choose: Choose) -> None:
        self.choose = choose
        self.values: dict[str, list[str]] = {"D": [], "H": [], "P": [], "1": []}
        self.members: dict[str, tuple[str, ...]] = {}
        self.lines: list[str] = []

    def cell(self) -> str:
        """The text of a cell `step`."""
        inputs = ["x", *self.choose(([], ["dt:1"], ["e"], ["dt:1", "e"]))]
        states = self.choose((["h"], ["h", "c"], ["h:P", "c"], ["h", "s:1"], ["h", "c:P", "s:1"]))
        for word, usual in [*((w, "D") for w in inputs), *((w, "H") for w in states)]:
            name, _, letter = word.partition(":")
            self.values[letter or usual].append(name)
        for k in range(self.choose((0, 1, 2, 3))):
            size = self.choose("HHHPD1" if self.values["1"] else "HHHPD")
            self.lines.append(f"v{k} = {self.expression(size, 2)}")
            self.values[size].append(f"v{k}")
        returned = [self.next_value(word) for word in states]
        shown = self.choose(("", "h", "y", "y"))
        if shown == "y":
            self.lines.append(f"y = {self.expression(self.choose('HPD'), 1)}")
            returned.append("y")
        start = {name.partition(":")[0]: self.choose((0.0, 1.0, -0.5)) for name in states}
        decorator = f'inputs="{" ".join(inputs)}", states="{" ".join(states)}", start={start}'
        decorator += f', output="{shown}"' if shown else ""
        body = f"    return {', '.join(returned)}\n"
        for line in reversed(self.lines):  # without those that nothing uses, which a cell may not have
            if re.search(rf"\b{line.split()[0]}\b", body):
                body = f"    {line}\n{body}"
        sizes = [f"{n}:{','.join(s)}" for n, s in self.members.items() if re.search(rf"\b{n}\b", body)]
        decorator += f', parameters="{" ".join(sizes)}"'
        groups = sorted(set(re.findall(r"\b([abW])\.", body)))
        arguments = [word.partition(":")[0] for word in inputs + states] + groups
        return f"@cell({decorator})\ndef step({', '.join(arguments)}):\n{body}"

    def next_value(self, word: str) -> str:
        """What a state becomes: something new as a rule, or a value that is there; a scalar may meet a parameter."""
        name, _, letter = word.partition(":")
        if self.choose((False, False, False, False, True)):
            return self.name(letter or "H")
        value = self.expression(letter or "H", 3)
        if letter == "1":
            value += self.choose(
                ("", f" * a.{name}", f" + tanh(a.{name} @ h)", f" - a.{name} @ tanh(h + a.{name}.T @ {name})")
            )
        self.lines.append(f"{name}_ = {value}")
        return f"{name}_"

    def expression(self, size: str, depth: int) -> str:
        """An expression of exactly this size."""
        if not depth:
            return self.name(size)
        kinds = ["name", "unary", "binary", "binary"]
        kinds += [] if size == "1" else ["product", "product", "gate", "gate", "norm", "still", "units"]
        return str(getattr(self, self.choose(kinds))(size, depth - 1))

    def name(self, size: str, _: int = 0) -> str:
        """A name of this size, or what makes one."""
        return self.choose(self.values[size]) if self.values[size] else self.product(size)

    def unary(self, size: str, depth: int) -> str:
        return f"({self.choose(UNARY).format(self.expression(size, depth))})"

    def binary(self, size: str, depth: int) -> str:
        return f"({self.choose(BINARY).format(self.expression(size, depth), self.operand(size, depth))})"

    def operand(self, size: str, depth: int) -> str:
        """What may stand beside an expression of this size: the same, or a scalar, a number, a parameter."""
        kind = self.choose(("same", "same", "scalar", "number", "vector"))
        if kind == "scalar" and self.values["1"]:
            return self.expression("1", depth)
        if kind == "number":
            return self.choose(("0.25", "1", "-0.5"))
        if kind == "vector" and size != "1":
            return self.member("b", (size,))
        return self.expression(size, depth)

    def product(self, size: str, depth: int = 0, of: str = "") -> str:
        columns = "P" if of else self.choose([letter for letter in "DHP1" if self.values[letter]])
        source = of or self.expression(columns, depth)
        if columns != "1" and self.choose((False, True)):
            return f"({self.member('W', (columns, size))}.T @ {source})"
        return f"({self.member('W', (size, columns))} @ {source})"

    def gate(self, size: str, depth: int) -> str:
        """A sum with products."""
        terms = [self.product(size, depth), self.product(size), self.member("b", (size,)), self.expression(size, depth)]
        return "(" + "".join(self.choose((" + ", " + ", " - ")) + term for term in terms) + ")"

    def norm(self, size: str, depth: int) -> str:
        """One of the results of a layer norm of one to three vectors, of unlike sizes too."""
        sizes = [size, *self.choose(("", "", "D", "H", "P", "HH", "PD"))]
        vectors = ", ".join(self.expression(letter, depth) for letter in sizes)
        place = f"[{self.choose([k for k, letter in enumerate(sizes) if letter == size])}]" if len(sizes) > 1 else ""
        return f"layer_norm({vectors}, eps={self.choose(('0.1', '0.5'))}){place}"

    def units(self, size: str, depth: int) -> str:
        """What all units of a vector make, with an expression of its size."""
        made = self.choose(UNITS).format(self.expression(size, depth), self.expression(size, 0))
        return f"({self.expression(size, depth)} + {made})"

    def still(self, size: str, depth: int) -> str:
        """What parameters alone make, with something that moves."""
        inner = self.choose((f"tanh({self.member('b', (size,))})", self.product(size, of=self.member("b", ("P",)))))
        return f"({inner} * {self.expression(size, depth)})"

    def member(self, group: str, shape: tuple[str, ...]) -> str:
        """A parameter of this shape: one that is used already, or a new one."""
        known = [name for name, other in self.members.items() if other == shape]
        name: str = self.choose([*known, f"{group}.m{len(self.members)}"])
        self.members[name] = shape
        return name


def source(seed: int) -> str:
    """The text of a random cell: a large one as a rule, the same for every call."""
    return _Author(random.Random(seed).choice).cell()


def sources() -> st.SearchStrategy[str]:
    """Texts of random cells, small ones first."""
    return st.composite(lambda draw: _Author(lambda options: draw(st.sampled_from(options))).cell())()


def cells() -> st.SearchStrategy[Cell]:
    """Random cells: those that hypothesis finds, and large ones."""
    return (sources() | st.integers(0, 10**6).map(source)).map(make)


Arrays = dict[str, Any]


def arrays(graph: Graph, seed: int, rows: int = 2, sizes: Mapping[str, int] = SIZES) -> tuple[Arrays, Arrays, Arrays]:
    """Inputs and states [rows, size] and parameters of a cell, float64, by name."""
    generator = np.random.default_rng(seed)

    def draw(*shape: str) -> Any:
        return generator.normal(size=[1 if letter == "1" else sizes[letter] for letter in shape])

    def port(size: str) -> Any:
        return generator.normal(size=(rows, 1 if size == "1" else sizes[size]))

    inputs = {p.name: port(p.size) for p in graph.inputs}
    states = {p.name: port(p.size) for p in graph.states}
    return inputs, states, {p.name: draw(*p.shape) for p in graph.parameters}
