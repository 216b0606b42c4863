"""All that a run is made from, and its TOML form in the run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self

import msgspec

from elman.errors import ConfigError, SaveError
from elman.formats.atomic import atomic_write
from elman.train.settings import Settings

_CURE = "mend the file, or start another run"


class Config(Settings, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A task, a source and the settings.

    Attributes:
        task: its name in the registry.
        source: what is read; None is what ships with Python.
        digest: SHA-256 of what was read, written down when the run begins.
        equations: the hash of the cell's graph, written down when the run begins.
    """

    task: str
    source: str | None = None
    digest: str = ""
    equations: str = ""

    @classmethod
    def of(cls, task: str, source: str | None = None, **values: Any) -> Self:
        """From settings by their names alone: `Config.of("text", "book.txt", hidden=64, steps=100)`."""
        return cls(task=task, source=source).replaced(values)


def write(path: Path, config: Config) -> None:
    """Write a configuration as TOML, a table a part. Raises SaveError where it cannot be written."""
    plain: list[str] = []
    tables: list[str] = []
    for name, value in msgspec.to_builtins(config).items():
        if isinstance(value, dict):
            tables += ["", f"[{name}]", *_lines(value)]
        else:
            plain += _lines({name: value})
    try:
        with atomic_write(path) as file:
            file.write("\n".join([*plain, *tables, ""]).encode())
    except OSError as error:
        reason = error.strerror or error
        raise SaveError(
            f"{path}: cannot be written: {reason}; nothing was trained; mend that, then start again"
        ) from error


def read(path: Path) -> Config:
    """Read a configuration back. Raises ConfigError where the file is missing, no TOML, or holds what no setting is."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # editors of Windows begin files with a byte-order mark
        return msgspec.toml.decode(text, type=Config)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not the configuration of a run: not UTF-8 at byte {error.start}; {_CURE}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        hint = "" if "[network]" in text else "; was it written by an earlier version? start another run"
        found = str(error).replace("`", "'")  # in our messages, these are for settings
        raise ConfigError(f"{path}: not the configuration of a run: {found}{hint}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _lines(values: dict[str, Any]) -> list[str]:
    return [f"{name} = {_toml(value)}" for name, value in values.items() if value is not None]


def _toml(value: Any) -> str:
    """A TOML value; JSON's strings, numbers and booleans are TOML's, but for infinity and the delete character."""
    if value == float("inf"):
        return "inf"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {_toml(item)}" for name, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
