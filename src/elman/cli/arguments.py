"""From arguments to the command that they ask for, ready to run; what cannot be understood is told in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial, wraps
from io import StringIO
from typing import Any

from tyro.conf import FlagCreatePairsOff
from tyro.extras import SubcommandApp

from elman.cli import bench, compress, demo, sample, score, train
from elman.errors import UsageError

Command = Callable[[], int]

_DESCRIPTION = "Recurrent networks whose equations are written once. Also: --version; --debug shows an error's source."
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_FRAME = "│╭╮╰╯─|+- "  # as it is drawn in Unicode and in ASCII
_HELP = re.compile(r"elman[\w ]* --help")


def parse(arguments: list[str]) -> Command:
    """The command with its arguments; help is printed, and ends the program.

    Raises:
        UsageError: there is no such command or option, or a value is of the wrong kind.
    """
    talk = StringIO()
    try:
        with redirect_stderr(talk):
            command: Command = _app().cli(
                prog="elman", description=_DESCRIPTION, args=arguments or ["--help"], config=(FlagCreatePairsOff,)
            )
    except SystemExit as error:
        if error.code:
            raise UsageError(_in_one_line(talk.getvalue())) from None
        raise
    return command


def _app() -> SubcommandApp:
    app, training = SubcommandApp(), SubcommandApp()
    training.command(name="text")(_later(train.text))
    app.command(training, name="train", help="Train a recurrent network.")
    app.command(name="sample")(_later(sample.sample))
    app.command(name="score")(_later(score.score_file))
    app.command(name="compress")(_later(compress.compress))
    app.command(name="decompress")(_later(compress.decompress))
    app.command(name="demo")(_later(demo.demo))
    app.command(name="bench")(_later(bench.bench))
    return app


def _later(command: Callable[..., int]) -> Callable[..., Command]:
    """What takes a command's arguments, and gives the call of the command."""

    @wraps(command)
    def bound(*positional: Any, **named: Any) -> Command:
        return partial(command, *positional, **named)

    return bound


def _in_one_line(box: str) -> str:
    """What tyro draws in a box (a title, the problem, hints, and how to get help, with rules between) as a line."""
    first, *rows = _COLOURS.sub("", box).splitlines()
    title = first.strip(_FRAME)
    ruled = [row.strip("│| ") if row.strip(_FRAME) else "" for row in rows]
    problem, *hints = "\n".join(ruled).strip().split("\n\n")
    problem = _joined(problem).removesuffix(".")
    found = problem if problem.casefold().startswith(title.casefold()) else f"{title}: {problem}"
    for hint in hints:
        if hint.startswith("Perhaps you meant"):
            options = dict.fromkeys(row.split()[0] for row in hint.splitlines() if row.startswith("--"))
            found += f"; perhaps you meant {' or '.join(options)}"
        elif hint.startswith("Available"):
            found += f"; {_joined(hint)}"
        elif help_ := _HELP.search(_joined(hint)):
            found += f"; see {help_[0]}"
    return found


def _joined(rows: str) -> str:
    return " ".join(rows.split())
