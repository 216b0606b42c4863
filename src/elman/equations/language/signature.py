"""What a cell's function says of itself, with what its decorator says of it, checked."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any, NoReturn

from elman.equations.graph import RESERVED, Port, is_name
from elman.equations.language.declarations import Declarations, Rows, Said
from elman.equations.language.numbers import option
from elman.equations.language.tracer import Tracer
from elman.errors import EquationError

_STORES = ("STORE_FAST", "STORE_DEREF")


@dataclass(frozen=True, eq=False)
class Signature:
    """A cell's function: the names and sizes of its arguments, parameter groups, and options with their defaults.

    `sizes` are those that parameters are declared with, by parameter or group; `groups` are parameters and constants.
    """

    name: str
    function: Callable[..., Any]
    code: CodeType
    inputs: tuple[Port, ...]
    states: tuple[Port, ...]
    output: str
    output_size: str | None
    groups: tuple[str, ...]
    sizes: Mapping[str, tuple[str, ...]]
    constants: Mapping[str, Rows]
    options: Mapping[str, float]

    @classmethod
    def of(cls, function: Callable[..., Any], said: Said) -> Signature:
        """Raises EquationError for whatever does not fit together, with the line of the function and the cure."""
        reader = _FunctionReader(function)
        told = Declarations(said, reader.refuse)
        groups, options = reader.arguments([port.name for port in told.inputs + told.states])
        if told.output in groups:
            reader.refuse(
                f"the output is called {told.output!r}",
                "name a state, or give the value returned last a name of its own",
            )
        for what, names in (("parameters", told.sizes), ("constants", told.constants)):
            for name in names:
                if name.partition(".")[0] not in groups:
                    reader.refuse(
                        f"{what} name {name}, which is no argument of the function",
                        f"behind the inputs and states it has {', '.join(groups) or 'none'}",
                    )
        reader.refuse_shadows(groups)
        return cls(
            reader.name, function, reader.code, told.inputs, told.states, told.output, told.output_size,
            tuple(groups), told.sizes, told.constants, options,
        )  # fmt: skip

    @property
    def returned(self) -> list[str]:
        """The names of what the function returns."""
        return list(dict.fromkeys([*(p.name for p in self.states), self.output]))


class _FunctionReader:
    def __init__(self, function: Callable[..., Any]) -> None:
        self.name = getattr(function, "__name__", type(function).__name__)
        plain = inspect.unwrap(function)
        if not inspect.isfunction(plain):
            raise EquationError(
                f"{self.name}: @cell stands before a {type(function).__name__}; write a plain function: def"
            )
        self.code = plain.__code__
        self.function = function
        if (
            inspect.iscoroutinefunction(plain)
            or inspect.isgeneratorfunction(plain)
            or inspect.isasyncgenfunction(plain)
        ):
            self.refuse("the function is async, or yields", "one step is a plain function that returns the next states")
        if not is_name(self.name):
            self.refuse("the function has no plain name", "write it with def, and a name of its own")

    def refuse(self, problem: str, cure: str, line: int | None = None) -> NoReturn:
        Tracer(self.name, self.code).refuse(problem, cure, line)

    def arguments(self, leading: list[str]) -> tuple[list[str], dict[str, float]]:
        """The parameter groups behind the leading arguments, and the options."""
        names: list[str] = []
        options: dict[str, float] = {}
        for argument in inspect.signature(self.function).parameters.values():
            if argument.name in RESERVED:
                self.refuse(f"the argument {argument.name} has a reserved name", f"do not use {', '.join(RESERVED)}")
            if argument.kind is argument.KEYWORD_ONLY:
                options[argument.name] = self._default(argument)
            elif argument.kind in (argument.VAR_POSITIONAL, argument.VAR_KEYWORD):
                self.refuse(f"the argument {argument} takes anything", "name each input, state and parameter group")
            elif argument.default is not argument.empty:
                self.refuse(f"the argument {argument} has a default", f"an option stands behind a star: *, {argument}")
            else:
                names.append(argument.name)
        if names[: len(leading)] != leading:
            self.refuse(
                f"the arguments must begin with {', '.join(leading)} and are {', '.join(names) or 'none'}",
                "the inputs come first, then the states, each once, then the parameter groups",
            )
        return names[len(leading) :], options

    def _default(self, argument: inspect.Parameter) -> float:
        if argument.default is argument.empty:
            self.refuse(f"the option {argument.name} has no default", f"write *, {argument.name}=1.0")
        value = option(argument.default)
        if value is None:
            self.refuse(f"the option {argument!s:.40} is no finite number of float32", f"write *, {argument.name}=1.0")
        return value

    def refuse_shadows(self, groups: list[str]) -> None:
        """Refuse a local that hides a parameter group, which would silently be used in its place from there on."""
        for instruction in dis.get_instructions(self.code):
            names = _stored(instruction.opname, instruction.argval)
            line = instruction.positions.lineno if instruction.positions else None
            for name in names:
                if name in groups:
                    self.refuse(f"the local {name} hides the parameter group {name}", "give it another name", line)


def _stored(opname: str, argval: object) -> list[object]:
    """The locals that an instruction binds. Since CPython 3.13 one may store a local and store or load another."""
    if isinstance(argval, tuple):
        return [name for part, name in zip(opname.split("_FAST")[:2], argval, strict=False) if part.endswith("STORE")]
    return [argval] if opname.startswith(_STORES) else []
