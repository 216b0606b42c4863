"""What `@cell` is told beside the function: names with their sizes, start values and constant arrays, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, cast

from elman.equations.graph import RESERVED, Port, is_name, is_size
from elman.equations.language.numbers import finite

Refuse = Callable[[str, str], NoReturn]
Rows = tuple[tuple[float, ...], ...] | tuple[float, ...]

_EXAMPLES = {"inputs": "x dt:1", "states": "h:P c", "parameters": "W.down:R v:1"}


@dataclass(frozen=True, eq=False)
class Said:
    """The arguments of `@cell`, as they came."""

    inputs: Any
    states: Any
    parameters: Any
    output: Any
    start: Any
    constants: Any


class Declarations:
    """Reads what was said; whatever cannot be meant is refused by `refuse`, with the problem and the cure."""

    def __init__(self, said: Said, refuse: Refuse) -> None:
        self._refuse = refuse
        starts = self._mapping(said.start, "start", '{"m": 1.0}')
        self.inputs = self._ports(said.inputs, "inputs", "D", {})
        self.states = self._ports(said.states, "states", "H", starts)
        names = [port.name for port in self.states]
        for name in starts:
            if name not in names:
                refuse(f"start names {name!r}, which is no state", f"the states are {', '.join(names)}")
        self.output, self.output_size = self._output(said.output, names)
        sizes = [self._parameter(word) for word in self._words(said.parameters, "parameters")]
        self.sizes = dict(sizes)
        for name, _ in sizes:
            if sum(name == other for other, _ in sizes) > 1:
                refuse(f"parameters name {name} twice", "give it one size, or each of its members one")
        constants = self._mapping(said.constants, "constants", '{"A": array}')
        self.constants = {self._constant_name(name): self._array(name, value) for name, value in constants.items()}

    def _mapping(self, value: object, what: str, example: str) -> Mapping[Any, Any]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            self._refuse(f"{what} is a {type(value).__name__}", f"write a dictionary by name: {what}={example}")
        return value

    def _words(self, text: object, what: str) -> list[str]:
        """The words of "h:P c", or of a list of such words."""
        if isinstance(text, str):
            # A comma parts names, but for parameters also the sizes of one: "U:R,H".
            found = (
                [word.rstrip(",") for word in text.split()] if what == "parameters" else text.replace(",", " ").split()
            )
            return [word for word in found if word]
        if isinstance(text, Sequence) and not isinstance(text, bytes) and all(isinstance(word, str) for word in text):
            return list(text)
        words = text if isinstance(text, (list, tuple)) else [text]
        came = ", ".join(type(word).__name__ for word in words)
        return self._refuse(f"{what} must be a text or a list of words, got {came}", self._example(what))

    def _example(self, what: str) -> str:
        return f'write {what}="{_EXAMPLES[what]}"'

    def _size(self, name: str, size: str, what: str) -> str:
        if not is_size(size):
            self._refuse(f'the size of {name} is one capital letter or "1", got {size!r}', self._example(what))
        return size

    def _ports(self, text: object, what: str, letter: str, start: Mapping[str, Any]) -> tuple[Port, ...]:
        ports: list[Port] = []
        for word in self._words(text, what):
            name, colon, size = word.partition(":")
            if not is_name(name):
                problem = f"{what} name {name!r}, which is no name, or one of {', '.join(RESERVED)}"
                self._refuse(problem, self._example(what))
            begin = finite(start.get(name, 0.0))
            if begin is None:
                problem = f"{name} starts at {start[name]!r:.40}"
                self._refuse(problem, "a state starts at one finite number, which float32 holds, for all its units")
            ports.append(Port(name, self._size(name, size, what) if colon else letter, begin))
        if not ports:
            self._refuse(f"there are no {what}", self._example(what))
        return tuple(ports)

    def _output(self, text: object, states: Sequence[str]) -> tuple[str, str | None]:
        """The output's name, and its size where it is told."""
        cure = "name a state, or give the value returned last a name of its own"
        if text is None:
            return states[0], None
        if not isinstance(text, str):
            self._refuse(f"output is a {type(text).__name__}", f'{cure}, as in output="y"')
        name, colon, size = text.partition(":")
        if not is_name(name) or name in [port.name for port in self.inputs]:
            self._refuse(f"the output is called {name!r}", cure)
        if colon and name in states:
            self._refuse(f"the output {name} is a state and has a size here too", "give it where the state is declared")
        return name, (self._size(name, size, "states") if colon else None)

    def _parameter(self, word: str) -> tuple[str, tuple[str, ...]]:
        """A parameter and its sizes: "W.down:R", "U:R,H"."""
        name, _, sizes = word.partition(":")
        group, dot, member = name.partition(".")
        if not is_name(group) or (dot and not is_name(member)):
            self._refuse(f"parameters name {name!r}, which is no parameter", self._example("parameters"))
        found = tuple(self._size(name, size, "parameters") for size in sizes.split(","))
        if len(found) > 2:
            self._refuse(f"{name} has {len(found)} sizes", "a vector has one size, a matrix rows and columns: U:R,H")
        return name, found

    def _constant_name(self, name: object) -> str:
        if not isinstance(name, str) or not is_name(name):
            self._refuse(f"constants name {name!r}, which is no name", 'write constants={"A": array}')
        return name

    def _array(self, name: object, value: Any) -> Rows:
        """The numbers of a constant: a vector's, or a matrix's row by row."""
        cure = "give a vector or a matrix of finite numbers, as an array or nested lists"
        plain = _plain(value)
        if not isinstance(plain, (list, tuple)) or not plain:
            self._refuse(f"the constant {name} is {plain!r:.40}", f"{cure}; a single number is an option: *, k=1.0")
        plain = [_plain(row) for row in plain]
        nested = all(isinstance(row, (list, tuple)) for row in plain)
        rows = [tuple(map(_element, row)) for row in (plain if nested else [plain])]
        if any(number is None for row in rows for number in row):
            self._refuse(f"the constant {name} holds what is no finite number of float32", cure)
        if len({len(row) for row in rows}) > 1 or not rows[0]:
            self._refuse(f"the rows of the constant {name} are of unlike lengths, or empty", cure)
        found = cast(tuple[tuple[float, ...], ...], tuple(rows))
        return found if nested else found[0]


def _plain(value: Any) -> Any:
    """Lists for arrays of any library."""
    return value.tolist() if hasattr(value, "tolist") else value


def _element(value: object) -> float | None:
    return float(value) if isinstance(value, bool) else finite(value)
