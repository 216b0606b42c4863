"""What is wrong with arguments, in one line: what was expected, what came, and where help is."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import takewhile
from typing import Any, NoReturn

from tyro import _errors as events

from elman.errors import UsageError

_KINDS = {"INT": "a whole number", "FLOAT": "a number", "PATH": "a path"}

Commands = Mapping[str, Callable[..., int]]


def refuse(event: events.ParseErrorEvent, *, arguments: Sequence[str], commands: Commands) -> NoReturn:
    """Raise UsageError for what tyro says that it cannot parse."""
    command = _command(arguments, commands)
    problem = _problem(event, arguments, command, commands)
    raise UsageError(f"{problem}; see {' '.join(['elman', *command.split()])} --help")


def _command(arguments: Sequence[str], commands: Commands) -> str:
    """The longest beginning that names a command, or a group of commands."""
    known = {*commands, *(name.rpartition(" ")[0] for name in commands)}
    return next((name for count in (2, 1) if (name := " ".join(arguments[:count])) in known), "")


def _problem(event: events.ParseErrorEvent, arguments: Sequence[str], command: str, commands: Commands) -> str:
    if isinstance(event, events.MissingArgs):
        missing = [context.arg for context in event.missing_arguments]
        names = " and ".join(argument.lowered.metavar or argument.display_name() for argument in missing)
        return f"{names} {'is' if len(missing) == 1 else 'are'} missing"
    if isinstance(event, events.MissingSubcommand):
        return f"what to {command or 'do'} is missing: {', '.join(_below(command, commands))}"
    if isinstance(event, events.InvalidChoice):
        return f"{event.argument.display_name()} {event.value}: expected one of {', '.join(event.choices)}"
    if isinstance(event, events.BadValue):
        return f"{event.argument.display_name()}: a value is missing"
    if isinstance(event, events.InstantiationFailure) and event.argument is not None:
        argument = event.argument
        kind = next(
            (words for mark, words in _KINDS.items() if mark in (argument.lowered.metavar or "")), "another value"
        )
        given = _given(argument.display_name(), arguments)
        value = " ".join(given if argument.lowered.nargs == "*" else given[:1])
        return f"{argument.display_name()} {value}: expected {kind}"
    if isinstance(event, events.UnrecognizedArgs):
        return _unknown(event.tokens[0], command, commands)
    return f"these arguments cannot be understood: {' '.join(arguments)}"


def _given(name: str, arguments: Sequence[str]) -> list[str]:
    """What came behind an option, up to the next one."""
    for place, argument in enumerate(arguments):
        option, sign, value = argument.partition("=")
        if option.replace("_", "-") == name:
            return [value] if sign else list(takewhile(lambda word: not word.startswith("--"), arguments[place + 1 :]))
    return []


def _unknown(token: str, command: str, commands: Commands) -> str:
    below = _below(command, commands)
    if not token.startswith("-") and below:
        return f"there is no command {token}{_like(token, below)}; the commands are {', '.join(below)}"
    if not token.startswith("-"):
        return f"{token} is one argument too many"
    name = token.partition("=")[0]
    return f"there is no option {name}{_like(name, options(commands[command]) if command in commands else [])}"


def _below(command: str, commands: Commands) -> list[str]:
    """The words that may come behind a group of commands; none behind a command."""
    start = command.split()
    words = [name.split() for name in commands]
    return list(dict.fromkeys(w[len(start)] for w in words if w[: len(start)] == start and len(w) > len(start)))


def _like(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, n=2)
    return f"; perhaps you meant {' or '.join(near)}" if near else ""


def options(command: Callable[..., int]) -> list[str]:
    """The options of a command, those of its settings included."""
    found: list[str] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            found += _fields(parameter.default) or [name]
    return [f"--{name.replace('_', '-')}" for name in found]


def _fields(settings: Any) -> list[str]:
    """The names of a settings value's fields, group by group where it has groups; none of other values."""
    names: Iterable[str] = getattr(settings, "__struct_fields__", getattr(settings, "__dataclass_fields__", ()))
    return [name for field in names for name in (_fields(getattr(settings, field)) or [field])]
