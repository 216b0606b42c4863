"""The command line: one file a command, and here the one place where errors become messages and exit statuses.

Data goes to standard output, talk to standard error. `--debug`, anywhere, shows where an error came from.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

from elman import __version__
from elman.cli.dashes import with_dashes
from elman.cli.status import ExitStatus
from elman.cli.streams import release_stdout, settle
from elman.errors import ElmanError, UsageError
from elman.train.stopping import handled, interrupt

_EXTRAS = {"tyro": "cli", "msgspec": "cli", "rich": "cli", "torch": "train", "matplotlib": "figures"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program and give its exit status.

    Args:
        argv: the arguments after the program's name; the process's own if None.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    settle()
    try:
        with handled(interrupt):
            status = _run([argument for argument in arguments if argument != "--debug"])
            sys.stdout.flush()
            return status
    except SystemExit as error:  # how help ends
        return error.code if isinstance(error.code, int) else ExitStatus.USAGE
    except KeyboardInterrupt as error:
        _tell(str(error) or "interrupted", debug)
        return 128 + getattr(error, "signal", 2)
    except BrokenPipeError:
        release_stdout()
        return ExitStatus.BROKEN_PIPE
    except UsageError as error:
        _tell(str(error), debug)
        return ExitStatus.USAGE
    except ElmanError as error:
        _tell(str(error), debug)
        return ExitStatus.ERROR
    except OSError as error:
        release_stdout()
        _tell(f"{error.filename}: {error.strerror}" if error.filename else str(error), debug)
        return ExitStatus.ERROR
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        _tell(f"this needs {error.name}: pip install 'elman[{_EXTRAS[error.name]}]'", debug)
        return ExitStatus.ERROR


def _run(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        print(f"elman {__version__}")
        return ExitStatus.OK
    from elman.cli.arguments import parse

    return int(parse(arguments)())


def _tell(message: str, debug: bool) -> None:
    """One line on standard error; before it, where asked for, the traceback."""
    if debug:
        traceback.print_exc()
    line = " ".join(message.split("\n"))
    if "`" in line:
        from elman.cli.arguments import all_options

        line = with_dashes(line, all_options())
    with suppress(OSError):  # a terminal that is closed, a reader that has left
        print(f"elman: {line}", file=sys.stderr, flush=True)
