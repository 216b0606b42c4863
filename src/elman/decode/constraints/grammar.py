"""Context-free grammars as constraints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from elman.decode.constraints import ebnf
from elman.decode.constraints.constraint import Constraint
from elman.decode.constraints.json_schema import Whitespace, to_ebnf
from elman.decode.constraints.pattern import Pattern


@dataclass(frozen=True)
class Grammar(Constraint):
    """The text is derived from a context-free grammar in EBNF (`elman.decode.constraints.ebnf`)."""

    source: str

    def __post_init__(self) -> None:
        ebnf.parse(self.source)

    @classmethod
    def json_schema(cls, schema: Mapping[str, Any] | bool, whitespace: Whitespace = "single") -> Grammar:
        """The grammar of the JSON that is valid under a schema (`elman.decode.constraints.json_schema`).

        Args:
            schema: as `json.load` gives it.
            whitespace: "none", "single" (a blank behind each comma and colon, as `json.dumps` writes), or "any".

        Raises:
            ConfigError: what is no schema, or not supported, with its place in the schema.
        """
        return cls(to_ebnf(schema, whitespace))

    def rules(self) -> dict[str, Pattern]:
        """The rules by name, the first one first."""
        return ebnf.parse(self.source)
