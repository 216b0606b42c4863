"""Settings and the options that they are on the command line: the one place that knows of dashes."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence

_SETTING = re.compile(r"`([a-z][a-z_]*)`")


def with_dashes(message: str, options: Container[str]) -> str:
    """What the library says of its settings (`learning_rate`), said of options (--learning-rate) where these exist."""

    def said(found: re.Match[str]) -> str:
        option = "--" + found[1].replace("_", "-")
        return option if option in options else found[0]

    return _SETTING.sub(said, message)


def named(arguments: Sequence[str]) -> frozenset[str]:
    """The settings that arguments name, in whatever form (--learning-rate 1, --learning_rate=1)."""
    options = (argument[2:].partition("=")[0] for argument in arguments if argument.startswith("--"))
    return frozenset(option.replace("-", "_") for option in options)
