"""A text that every CPython carries: the language reference's topics, or the standard library's own sources."""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path

_ENOUGH = 500_000  # characters of source, about what the topics have

# Lines that draw: borders and rows of tables, long rules, columns held apart by spaces. A model learns them in seconds,
# and then falls into them and draws forever.
_DRAWN = re.compile(r"^(?:[ \t]*(?:\||\+[-=+]|[-=]{20})|.* {12}).*\n", re.MULTILINE)


def demo_text() -> str:
    """The demo text: `pydoc_data.topics`, sorted and joined; where an installation lacks it, library sources."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        return library_sources(_ENOUGH)
    return "\n".join(topics[name] for name in sorted(topics))


def demo_prose() -> str:
    """The demo text without the tables drawn in it: every other line as it stands."""
    return _DRAWN.sub("", demo_text())


def library_sources(enough: int) -> str:
    """The standard library's top-level modules by name, whole ones, until they have `enough` characters."""
    parts: list[str] = []
    length = 0
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        if length >= enough:
            break
        parts.append(path.read_text(encoding="utf-8", errors="replace"))
        length += len(parts[-1])
    return "".join(parts)
