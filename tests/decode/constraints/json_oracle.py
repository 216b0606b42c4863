"""What texts of JSON a schema stands for here, judged value by value."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

KINDS = ("object", "array", "string", "number", "integer", "boolean", "null")
OF_KIND = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "prefixItems", "minItems", "maxItems"},
    "string": {"minLength", "maxLength", "pattern"},
    "number": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
}


def is_of(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return {
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
        "string": isinstance(value, str),
        "number": isinstance(value, int | float),
        "integer": isinstance(value, int),
        "boolean": False,
        "null": value is None,
    }[kind]


def valid(schema: Any, value: Any, root: Any) -> bool:
    """Whether a value is written under a schema."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].split("/")[1:]:
            target = target[part]
        return valid(target, value, root)
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return any(valid(each, value, root) for each in schema[key])
    kinds = schema.get("type", [k for k, keywords in OF_KIND.items() if keywords & set(schema)] or list(KINDS))
    if not any(is_of(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return False
    if "const" in schema or "enum" in schema:
        same = [each for each in schema.get("enum", [schema.get("const")]) if type(each) is type(value)]
        return value in same
    checks = {dict: _object, list: _array, str: _string, int: _number, float: _number}
    check = checks.get(type(value))
    return check is None or check(schema, value, root)


def _object(schema: Mapping[str, Any], value: dict[str, Any], root: Any) -> bool:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    names = [*properties, *(name for name in required if name not in properties)]
    others = schema.get("additionalProperties", not names)
    given, known = list(value), [name for name in names if name in value]
    if given[: len(known)] != known or not set(required) <= set(given):
        return False
    missing = schema.get("additionalProperties", True)
    return all(
        valid(properties.get(name, missing if name in names else others), each, root) for name, each in value.items()
    )


def _array(schema: Mapping[str, Any], value: list[Any], root: Any) -> bool:
    fixed, rest = schema.get("prefixItems", []), schema.get("items", True)
    each = [fixed[k] if k < len(fixed) else rest for k in range(len(value))]
    is_long = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf)
    return is_long and all(valid(s, v, root) for s, v in zip(each, value, strict=True))


def _string(schema: Mapping[str, Any], value: str, root: Any) -> bool:
    is_long = schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf)
    return is_long and re.search(schema.get("pattern", ""), value, re.ASCII | re.DOTALL) is not None


def _number(schema: Mapping[str, Any], value: float, root: Any) -> bool:
    if value < schema.get("minimum", -math.inf) or value > schema.get("maximum", math.inf):
        return False
    return schema.get("exclusiveMinimum", -math.inf) < value < schema.get("exclusiveMaximum", math.inf)
