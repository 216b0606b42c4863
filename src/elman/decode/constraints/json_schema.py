"""JSON Schema (draft 2020-12, the part that people use) into EBNF: what is derived is valid under the schema.

Objects have the properties that the schema names, in its order; others only where `additionalProperties` asks for them,
or where it names none at all. `oneOf` is read as `anyOf`. A schema without `type` is read as of the types that its
keywords speak of. Whatever else a keyword could ask is refused by its name and place.
Reference: Wright, Andrews, Hutton & Dennis 2022, JSON Schema: A Media Type for Describing JSON Documents.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal, NoReturn
from urllib.parse import unquote

from elman.checks import shown
from elman.decode.constraints.json_text import FORMATS, VALUES, literal, one_of
from elman.decode.constraints.json_types import TYPES
from elman.errors import ConfigError

Whitespace = Literal["none", "single", "any"]
_COMMA_AND_COLON = {"none": ('","', '":"'), "single": ('", "', '": "'), "any": ('ws "," ws', 'ws ":" ws')}

_OF_TYPE = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "pattern", "format"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "boolean": set[str](),
    "null": set[str](),
}
_SAYS_NOTHING = {
    "$schema", "$id", "$comment", "$defs", "definitions", "title", "description", "default", "examples", "deprecated",
    "readOnly", "writeOnly",
}  # fmt: skip
_WHOLE = ("$ref", "const", "enum", "anyOf", "oneOf", "allOf")  # keywords that say all that there is to say
_DEEPEST = 100  # schemas within schemas


def to_ebnf(schema: Any, whitespace: Whitespace = "single") -> str:
    """A grammar whose texts are valid under the schema.

    Raises:
        ConfigError: what is no schema, what cannot be read into a grammar, and what can never be met, with its place.
    """
    if whitespace not in _COMMA_AND_COLON:
        raise ConfigError(f"whitespace must be one of {', '.join(_COMMA_AND_COLON)}, got {shown(whitespace)}")
    return Writer(schema, whitespace).grammar()


class Writer:
    """Writes the rules of one document."""

    def __init__(self, schema: Any, whitespace: Whitespace) -> None:
        self.schema = schema
        self.comma, self.colon = _COMMA_AND_COLON[whitespace]
        self.space = "ws" if whitespace == "any" else ""
        self.rules: dict[str, str] = {}
        self.copies: Counter[str] = Counter()  # of a rule's name
        self.of_reference: dict[str, str] = {}
        self.waiting: list[tuple[str, Any, str]] = []  # a rule's name, its schema, its place

    def grammar(self) -> str:
        first = self.refer("#", "#")
        while self.waiting:
            name, schema, place = self.waiting.pop(0)
            self.rules[name] = self.value(schema, place, 0)
        used = "\n".join(f"{name} ::= {body}" for name, body in self.rules.items())
        common = VALUES | FORMATS | self.containers()
        needed, known = [first], set[str]()
        while needed:
            name = needed.pop()
            if name in common and name not in known:
                used += f"\n{name} ::= {common[name]}"
            if name not in known:
                known.add(name)
                needed += _names(common.get(name, self.rules.get(name, "")))
        return used + "\n"

    def containers(self) -> dict[str, str]:
        """Objects and arrays of anything."""
        return {
            "object": self.braces(f"(pair ({self.comma} pair)*)?"),
            "pair": f"string {self.colon} any",
            "array": self.brackets(f"(any ({self.comma} any)*)?"),
            "ws": "[ \\t\\n\\r]*",
        }

    def braces(self, inside: str) -> str:
        return f'"{{" {self.space} {inside} {self.space} "}}"'

    def brackets(self, inside: str) -> str:
        return f'"[" {self.space} {inside} {self.space} "]"'

    def refuse(self, place: str, problem: str) -> NoReturn:
        raise ConfigError(f"JSON schema, {place}: {problem}")

    def rule(self, place: str, body: str) -> str:
        """A new rule; gives its name."""
        name = self.name(place)
        self.rules[name] = body
        return name

    def name(self, place: str) -> str:
        base = "root" + re.sub("[^A-Za-z0-9]+", "-", place).rstrip("-")
        name = base
        while name in self.rules:
            self.copies[base] += 1
            name = f"{base}-{1 + self.copies[base]}"
        self.rules[name] = ""
        return name

    def value(self, schema: Any, place: str, depth: int) -> str:
        """What a schema allows."""
        if depth > _DEEPEST:
            self.refuse(place, f"schemas are nested more than {_DEEPEST} deep; use $defs and $ref")
        if schema is True or schema == {}:
            return "any"
        if schema is False:
            self.refuse(place, "false allows nothing")
        if not isinstance(schema, Mapping):
            self.refuse(place, f"a schema is an object, true or false, got {shown(schema)}")
        given = {key: value for key, value in schema.items() if key not in _SAYS_NOTHING}
        for key in _WHOLE:
            if key in given:
                return self.whole(key, given, place, depth)
        known = {keyword for keywords in _OF_TYPE.values() for keyword in keywords} | {"type", "uniqueItems"}
        for key in given:
            if key not in known or (key == "uniqueItems" and given[key] is not False):
                self.refuse(f"{place}/{key}", f"{key} is not supported")
        return one_of(TYPES[kind](self, given, place, depth) for kind in self.types(given, place))

    def types(self, given: Mapping[str, Any], place: str) -> list[str]:
        """The types of a schema; those that its keywords speak of where it names none."""
        kinds = given.get("type")
        if kinds is None:
            kinds = [k for k, keywords in _OF_TYPE.items() if keywords & set(given) and k != "integer"]
            return kinds or list(_OF_TYPE)
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if not isinstance(kinds, list | tuple) or not kinds or any(kind not in list(_OF_TYPE) for kind in kinds):
            self.refuse(f"{place}/type", f"type must be among {', '.join(_OF_TYPE)}, got {shown(given['type'])}")
        return list(dict.fromkeys(kinds))

    def whole(self, key: str, given: Mapping[str, Any], place: str, depth: int) -> str:
        """A schema with a keyword that says all; `type` may stand beside values."""
        beside = set(given) - {key} - ({"type"} if key in ("const", "enum") else set())
        if beside:
            self.refuse(f"{place}/{key}", f"{key} beside {', '.join(sorted(beside))} is not supported")
        value, place = given[key], f"{place}/{key}"
        if key == "$ref":
            return self.refer(value, place)
        if key == "const":
            return self.values([value], given, place)
        if not isinstance(value, list | tuple) or not value:
            self.refuse(place, f"a list of at least one is needed, got {shown(value)}")
        if key == "enum":
            return self.values(value, given, place)
        if key == "allOf" and len(value) > 1:
            self.refuse(place, "allOf of several schemas is not supported: write them as one")
        return one_of(self.value(each, f"{place}/{k}", depth + 1) for k, each in enumerate(value))

    def values(self, values: Any, given: Mapping[str, Any], place: str) -> str:
        kinds = self.types(given, place) if "type" in given else list(_OF_TYPE)
        kept = [value for value in values if any(_is(value, kind) for kind in kinds)]
        if not kept:
            self.refuse(place, "no value is of the type that is asked for")
        return one_of(self.constant(value, place, 0) for value in kept)

    def constant(self, value: Any, place: str, depth: int) -> str:
        if depth > _DEEPEST:
            self.refuse(place, f"a value is nested more than {_DEEPEST} deep")
        if isinstance(value, list | tuple):
            return self.brackets(f" {self.comma} ".join(self.constant(each, place, depth + 1) for each in value))
        if isinstance(value, Mapping):
            self.check_names(value, place)
            pairs = (
                f"{self.scalar(name, place)} {self.colon} {self.constant(each, place, depth + 1)}"
                for name, each in value.items()
            )
            return self.braces(f" {self.comma} ".join(pairs))
        return self.scalar(value, place)

    def check_names(self, value: Mapping[Any, Any], place: str) -> None:
        if wrong := [name for name in value if not isinstance(name, str)]:
            self.refuse(place, f"names in an object are text, got {shown(wrong[0])}")

    def scalar(self, value: Any, place: str) -> str:
        try:
            return literal(json.dumps(value, ensure_ascii=False, allow_nan=False))
        except (TypeError, ValueError):
            self.refuse(place, f"a value of JSON is needed, got {shown(value)}")

    def refer(self, reference: Any, place: str) -> str:
        """The name of the rule for a part of the document."""
        if not isinstance(reference, str) or not re.fullmatch("#(/.*)?", reference, re.DOTALL):
            self.refuse(place, f"a reference into this document is needed, #/…, got {shown(reference)}")
        if reference not in self.of_reference:
            target = self.schema
            for part in unquote(reference).split("/")[1:]:
                part = part.replace("~1", "/").replace("~0", "~")
                try:
                    target = target[int(part)] if isinstance(target, list | tuple) else target[part]
                except (KeyError, IndexError, ValueError, TypeError):
                    self.refuse(place, f"{reference} leads nowhere")
            self.of_reference[reference] = self.name(reference)
            self.waiting.append((self.of_reference[reference], target, reference))
        return self.of_reference[reference]

    def count(self, given: Mapping[str, Any], key: str, place: str) -> int | None:
        value = given.get(key)
        if value is None and key not in given:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
            self.refuse(f"{place}/{key}", f"a whole number of at least 0 is needed, got {shown(value)}")
        return int(value)

    def limits(self, given: Mapping[str, Any], what: str, place: str) -> tuple[int, int | None]:
        least, most = self.count(given, f"min{what}", place) or 0, self.count(given, f"max{what}", place)
        if most is not None and most < least:
            self.refuse(f"{place}/max{what}", f"{most} is below min{what}, {least}")
        return least, most


def _names(body: str) -> list[str]:
    """The rules that a rule's text refers to."""
    return re.findall(r"[A-Za-z_][\w-]*", re.sub(r'"[^"]*"|\[[^\]]*\]', " ", body))


def _is(value: Any, kind: str) -> bool:
    """Whether a value is of a type."""
    if isinstance(value, bool) or value is None:
        return kind == ("null" if value is None else "boolean")
    if kind == "integer":
        return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    kinds: dict[str, Any] = {"object": Mapping, "array": list | tuple, "string": str, "number": int | float}
    return kind in kinds and isinstance(value, kinds[kind])
