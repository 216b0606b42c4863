"""Context-free grammars as constraints."""

from __future__ import annotations

from dataclasses import dataclass

from elman.decode.constraints import ebnf
from elman.decode.constraints.pattern import Pattern


@dataclass(frozen=True)
class Grammar:
    """The text is derived from a context-free grammar in EBNF (`elman.decode.constraints.ebnf`)."""

    source: str

    def __post_init__(self) -> None:
        ebnf.parse(self.source)

    def rules(self) -> dict[str, Pattern]:
        """The rules by name, the first one first."""
        return ebnf.parse(self.source)
