"""A text that every CPython carries: the language reference's topics, or the standard library's own sources."""

from __future__ import annotations

import sysconfig
from pathlib import Path

_ENOUGH = 500_000  # characters of source, about what the topics have


def demo_text() -> str:
    """The demo text: `pydoc_data.topics`, sorted and joined; where an installation lacks it, library sources."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        return library_sources(_ENOUGH)
    return "\n".join(topics[name] for name in sorted(topics))


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
