"""The kinds of arguments: what was expected and what came, in one line, before anything is done with them."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from numbers import Integral, Real
from pathlib import Path
from threading import Lock
from types import UnionType

from elman.errors import ConfigError

_LONGEST = 80  # characters of a value that a message shows


def shown(value: object) -> str:
    """A value as messages show it: cut where it is long."""
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__}"
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def whole(name: str, value: object, least: int = 0, most: int | None = None) -> int:
    """The value as an int, if it is a whole number from `least` to `most`; ConfigError otherwise."""
    known = type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool))
    if not known or int(value) < least or (most is not None and int(value) > most):  # type: ignore[call-overload]
        limits = f"of at least {least}" if most is None else f"{least} … {most}"
        raise ConfigError(f"{name} must be a whole number {limits}, got {shown(value)}")
    return int(value)  # type: ignore[call-overload, no-any-return]


def as_float(value: object) -> float | None:
    """The value as a float; None where it is no real number, or none that a float can hold."""
    if type(value) is float:
        return value
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def finite(name: str, value: object, least: float = -math.inf, most: float = math.inf) -> float:
    """The value as a float, if it is a finite number from `least` to `most`; ConfigError otherwise."""
    number = as_float(value)
    if number is None or not math.isfinite(number) or not least <= number <= most:
        limits = (
            "" if least == -math.inf else f" of at least {least:g}" if most == math.inf else f", {least:g} … {most:g}"
        )
        raise ConfigError(f"{name} must be a finite number{limits}, got {shown(value)}")
    return number


def of_kind(name: str, value: object, kinds: type | UnionType | tuple[type, ...], expected: str) -> None:
    """ConfigError unless the value is of one of the kinds, which `expected` describes."""
    if not isinstance(value, kinds):
        raise ConfigError(f"{name} must be {expected}, got {shown(value)}")


def a_function(name: str, value: object, expected: str) -> None:
    """ConfigError unless the value can be called; `expected` says what it is called with and gives."""
    if not callable(value):
        raise ConfigError(f"{name} must be {expected}, got {shown(value)}")


def as_path(name: str, value: object) -> Path:
    """The value as a path; ConfigError where it is none."""
    if isinstance(value, str | os.PathLike):
        with suppress(TypeError, UnicodeEncodeError):  # bytes, or what no file system can write
            if b"\0" not in os.fsencode(path := Path(value)):
                return path
    raise ConfigError(f"{name} must be a path, got {shown(value)}")


class OneAtATime:
    """A door that lets in one call at a time. A second one is refused at once, so that nothing is ever mixed.

    Args:
        name: what is behind the door, for the message.
        cure: what to do instead.
    """

    def __init__(self, name: str, cure: str) -> None:
        lock, self._message = Lock(), f"{name} is in use, by another thread or by a call that goes on: {cure}"
        self._acquire, self.leave = lock.acquire, lock.release

    def enter(self) -> None:
        """Go in, to `leave` afterwards (with-blocks do both); ConfigError where somebody is inside."""
        if not self._acquire(False):
            raise ConfigError(self._message)

    def __enter__(self) -> None:
        self.enter()

    def __exit__(self, *_: object) -> None:
        self.leave()
