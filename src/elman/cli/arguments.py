"""From arguments to the command that they ask for, ready to run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, wraps
from inspect import cleandoc, signature
from shutil import get_terminal_size
from typing import Any

from tyro._errors import on_parse_error  # private, and pinned for it: the public way to learn of errors is a drawing
from tyro.conf import DisallowNone, FlagCreatePairsOff
from tyro.extras import SubcommandApp

from elman.cli import bench, compress, demo, sample, score, train
from elman.cli.dashes import named
from elman.cli.options import settings_registry, with_plain_options
from elman.cli.refusals import options, refuse

Command = Callable[[], int]

COMMANDS: dict[str, Callable[..., int]] = {
    "train text": train.text,
    "sample": sample.sample,
    "score": score.score_file,
    "compress": compress.compress,
    "decompress": compress.decompress,
    "demo": demo.demo,
    "bench": bench.bench,
}
_COLUMNS = 60  # that help needs
_GROUPS = {"train": "Train a recurrent network."}
_DESCRIPTION = "Recurrent networks whose equations are written once. Also: --version; --debug shows an error's source."


def parse(arguments: list[str]) -> Command:
    """The command with its arguments; help is printed, and ends the program.

    Raises:
        UsageError: there is no such command or option, or a value is of the wrong kind.
    """
    with _room_for_help(), on_parse_error(partial(refuse, arguments=arguments, commands=COMMANDS)):
        command: Command = _app(named(arguments)).cli(
            prog="elman",
            description=_DESCRIPTION,
            args=arguments or ["--help"],
            config=(FlagCreatePairsOff, DisallowNone),
            registry=settings_registry(),
        )
    return command


@contextmanager
def _room_for_help() -> Iterator[None]:
    """Let a narrow terminal count as a wider one: in few columns tyro writes a letter a line, and in 1 without end."""
    before = os.environ.get("COLUMNS")
    if get_terminal_size().columns < _COLUMNS:
        os.environ["COLUMNS"] = str(_COLUMNS)
    try:
        yield
    finally:
        os.environ.pop("COLUMNS", None)
        if before is not None:
            os.environ["COLUMNS"] = before


def all_options() -> frozenset[str]:
    """The options of all commands."""
    return frozenset(option for command in COMMANDS.values() for option in options(command))


def _app(given: frozenset[str]) -> SubcommandApp:
    app = SubcommandApp()
    groups = {name: SubcommandApp() for name in _GROUPS}
    for group, help_ in _GROUPS.items():
        app.command(groups[group], name=group, help=help_)
    for words, command in COMMANDS.items():
        *group_words, name = words.split()
        place = groups[group_words[0]] if group_words else app
        place.command(name=name, help=_summary(command))(_later(command, given))
    return app


def _summary(command: Callable[..., int]) -> str:
    """What stands in a command's documentation before its arguments."""
    return cleandoc(command.__doc__ or "").partition("\nArgs:")[0].strip()


def _later(command: Callable[..., int], given: frozenset[str]) -> Callable[..., Command]:
    """What takes a command's arguments, and gives the call of the command; some also learn what was `given`."""
    known = {"given": given} if "given" in signature(command).parameters else {}

    @wraps(command)
    def bound(*positional: Any, **parsed: Any) -> Command:
        return partial(command, *positional, **{**parsed, **known})

    return with_plain_options(bound)
