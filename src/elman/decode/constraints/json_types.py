"""What a JSON schema asks of a value of each type, as EBNF."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from elman.checks import shown
from elman.decode.constraints import regex
from elman.decode.constraints.json_text import CHARACTER, FORMATS, inside_a_string, integers, literal
from elman.decode.constraints.pattern import Either
from elman.errors import ConfigError

if TYPE_CHECKING:
    from elman.decode.constraints.json_schema import Writer

Given = Mapping[str, Any]
EMPTY = '""'
_PARTS = re.compile(r"\\.|\[(?:[^\]\\]|\\.)*\]|\{,|.", re.DOTALL)  # of a regular expression
_DIFFERING = re.compile(r"\\[aUN]|\[\^?\]|\{,")
_ESCAPES = re.compile(r"(?<!\\)(?:\\\\)*\\[aUN]")


def _object(writer: Writer, given: Given, place: str, depth: int) -> str:
    properties, required = given.get("properties", {}), given.get("required", [])
    if not isinstance(properties, Mapping):
        writer.refuse(f"{place}/properties", f"an object of schemas is needed, got {shown(properties)}")
    writer.check_names(properties, f"{place}/properties")
    if not isinstance(required, list | tuple) or not all(isinstance(name, str) for name in required):
        writer.refuse(f"{place}/required", f"a list of names is needed, got {shown(required)}")
    others = given.get("additionalProperties", not properties and not required)
    members = [(name, name in required, schema) for name, schema in properties.items()]
    for name in dict.fromkeys(required):
        if name not in properties:
            if others is False and "additionalProperties" in given:
                writer.refuse(f"{place}/required", f"{name!r} is required, and no other properties are allowed")
            members.append((name, True, True if "additionalProperties" not in given else others))
    if not members and others is True:
        return "object"
    behind = _others(writer, others, [name for name, _, _ in members], place, depth)
    pairs = [
        f"{writer.scalar(name, place)} {writer.colon} {writer.value(schema, f'{place}/properties/{name}', depth + 1)}"
        for name, _, schema in members
    ]
    return writer.braces(_members(writer, pairs, [needed for _, needed, _ in members], behind, place))


def _others(writer: Writer, schema: Any, names: list[str], place: str, depth: int) -> str:
    """A property beside the named ones; empty where there are none."""
    if schema is False:
        return ""
    place = f"{place}/additionalProperties"
    key = "string"
    if names:
        taken = " | ".join(literal(name) for name in names)
        key = f'"\\x22" {writer.rule(place, f"plain* - ({taken})")} "\\x22"'
    return writer.rule(place, f"{key} {writer.colon} {writer.value(schema, place, depth + 1)}")


def _members(writer: Writer, pairs: list[str], needed: list[bool], behind: str, place: str) -> str:
    """Pairs in their order with commas between, some of them left out, then any number of others."""
    comma = writer.comma
    more = f"({comma} {behind})*" if behind else ""  # what follows once something is written
    first = f"({behind} {more})?" if behind else ""  # what follows before
    for pair, is_needed in zip(reversed(pairs), reversed(needed), strict=True):
        pair, more = writer.rule(place, pair), writer.rule(place, more or EMPTY)
        without, first = first or EMPTY, f"{pair} {more}"
        if not is_needed:
            first = f"{first} | {writer.rule(place, without)}"
        more = f"{comma} {pair} {more}" if is_needed else f"({comma} {pair})? {more}"
    return f"({first})" if first else ""


def _array(writer: Writer, given: Given, place: str, depth: int) -> str:
    least, most = writer.limits(given, "Items", place)
    fixed, items = given.get("prefixItems", []), given.get("items", True)
    if not isinstance(fixed, list | tuple):
        writer.refuse(f"{place}/prefixItems", f"a list of schemas is needed, got {shown(fixed)}")
    if isinstance(items, list | tuple):
        writer.refuse(f"{place}/items", "a schema is needed; a list of them is prefixItems")
    if items is False or (most is not None and most <= len(fixed)):
        most = len(fixed) if most is None else min(most, len(fixed))
        if most < least:
            writer.refuse(f"{place}/minItems", f"{least} items are asked for, {most} are allowed")
    fixed = fixed[:most]
    behind = ""
    if most is None or most > len(fixed):
        item = writer.rule(place, writer.value(items, f"{place}/items", depth + 1))
        low, high = max(0, least - len(fixed)), "" if most is None else most - len(fixed)
        behind = f"({writer.comma} {item}){{{low},{high}}}"
        if not fixed:
            high = "" if most is None else most - 1
            behind = f"{item} ({writer.comma} {item}){{{max(0, low - 1)},{high}}}"
            behind = behind if least else f"({behind})?"
    for k in reversed(range(len(fixed))):
        item = writer.value(fixed[k], f"{place}/prefixItems/{k}", depth + 1)
        behind = writer.rule(place, f"{writer.comma if k else ''} {item} {behind}")
        behind = behind if k < least else f"{behind}?"
    return writer.brackets(behind)


def _string(writer: Writer, given: Given, place: str, depth: int) -> str:
    least, most = writer.limits(given, "Length", place)
    length = f"{CHARACTER}{{{least},{'' if most is None else most}}}" if {"minLength", "maxLength"} & set(given) else ""
    if "format" in given:
        if length or "pattern" in given:
            writer.refuse(f"{place}/format", "format beside pattern, minLength or maxLength is not supported")
        if given["format"] not in FORMATS or given["format"] == "days":
            writer.refuse(f"{place}/format", f"{given['format']!r} is not supported; leave it out, or give a pattern")
        return f'"\\x22" {given["format"]} "\\x22"'
    if "pattern" not in given:
        return f'"\\x22" {length} "\\x22"' if length else "string"
    inside = _pattern(writer, given["pattern"], f"{place}/pattern")
    if length:
        whole, long = writer.rule(place, inside), writer.rule(place, length)
        inside = f"{whole} - {writer.rule(place, f'{whole} - {long}')}"
    return f'"\\x22" {writer.rule(place, inside)} "\\x22"'


def _pattern(writer: Writer, pattern: Any, place: str) -> str:
    """A pattern is found anywhere in the string unless it says `^` and `$`.

    It means what it means to ECMA-262 and to Python's `re`; what they read differently is refused.
    """
    if not isinstance(pattern, str):
        writer.refuse(place, f"a regular expression is needed, got {shown(pattern)}")
    for part in _PARTS.findall(pattern):
        if differing := _DIFFERING.match(part) or (part[0] == "[" and _ESCAPES.search(part)):
            writer.refuse(place, f"{differing.group()} means one thing to ECMA-262 and another to Python's re")
    body = pattern.removeprefix("^")
    backslashes = len(body) - 1 - len(body[:-1].rstrip("\\"))
    is_ended = body.endswith("$") and backslashes % 2 == 0
    body = body[:-1] if is_ended else body
    try:
        parsed = regex.parse(body, is_common=True)
    except ConfigError as error:
        writer.refuse(place, str(error))
    if isinstance(parsed, Either) and (is_ended or pattern.startswith("^")):
        writer.refuse(place, "^ and $ beside | are not supported; write ^(?:…|…)$")
    before, after = "" if pattern.startswith("^") else f"{CHARACTER}*", "" if is_ended else f"{CHARACTER}*"
    return f"{before} {inside_a_string(parsed)} {after}"


def _integer(writer: Writer, given: Given, place: str, depth: int) -> str:
    low, high = _bound(writer, given, "minimum", place), _bound(writer, given, "maximum", place)
    if low is None and high is None:
        return "integer"
    try:
        return integers(low, high)
    except ConfigError as error:
        writer.refuse(place, str(error))


def _bound(writer: Writer, given: Given, name: str, place: str) -> int | None:
    """The outermost whole number that a minimum or a maximum allows."""
    is_low = name == "minimum"
    found = []
    for key in (name, f"exclusive{name.capitalize()}"):
        if key in given:
            value = given[key]
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                writer.refuse(f"{place}/{key}", f"a finite number is needed, got {shown(value)}")
            nearest = math.ceil(value) if is_low else math.floor(value)
            if key.startswith("exclusive") and nearest == value:
                nearest += 1 if is_low else -1
            found.append(nearest)
    return (max(found) if is_low else min(found)) if found else None


def _number(writer: Writer, given: Given, place: str, depth: int) -> str:
    for key in ("maximum", "exclusiveMinimum", "exclusiveMaximum"):
        if key in given:
            writer.refuse(f"{place}/{key}", f"{key} is supported for type integer, not for number")
    if "minimum" in given and (given["minimum"] != 0 or isinstance(given["minimum"], bool)):
        writer.refuse(f"{place}/minimum", "of a number that is no integer, only minimum 0 is supported")
    return "unsigned" if "minimum" in given else "number"


TYPES: dict[str, Callable[[Writer, Given, str, int], str]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "number": _number,
    "integer": _integer,
    "boolean": lambda *_: "boolean",
    "null": lambda *_: "null",
}
