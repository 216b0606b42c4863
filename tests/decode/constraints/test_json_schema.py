"""JSON schemas as grammars: what is derived is valid, what is valid is derived, and the rest is refused by name."""

from __future__ import annotations

import json
import random
from functools import lru_cache
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.decode import CallableStepper, Grammar, Options, Spelling, decode
from elman.decode.constraints.compiled import compiled
from elman.decode.constraints.force import Force
from elman.errors import ConfigError
from tests.decode.constraints.json_oracle import valid

SYMBOLS = [*map(chr, range(32, 127)), "é", "\n"]
SPELLING = Spelling.of(SYMBOLS)

TREE = {
    "$defs": {"tree": {"type": "object", "properties": {"v": {"type": "integer"}, "kids": {"type": "array",
              "items": {"$ref": "#/$defs/tree"}}}, "required": ["v"]}},
    "$ref": "#/$defs/tree",
}  # fmt: skip
PERSON = {
    "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "person", "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1, "maxLength": 8, "description": "theirs"},
                   "age": {"type": "integer", "minimum": 0, "maximum": 120}, "tags": {"type": "array", "items":
                   {"enum": ["a", 1, None, True]}, "maxItems": 3}, "email": {"anyOf": [{"type": "string", "pattern":
                   "^[a-z]+@[a-z]+$"}, {"type": "null"}]}},
    "required": ["name", "email"], "additionalProperties": False,
}  # fmt: skip
SCHEMAS: dict[str, Any] = {
    "anything": True, "anything too": {}, "tree": TREE, "person": PERSON,
    "a constant": {"const": {"a": [1, "x\"\\\n", None], "b": {}}}, "values": {"enum": [1, "1", [1], {"a": 1}, False]},
    "values of a type": {"type": "string", "enum": ["a", 2, "é"]}, "two types": {"type": ["integer", "null"]},
    "a tuple": {"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": False},
    "a longer tuple": {"prefixItems": [{"type": "null"}], "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
    "items": {"type": "array", "items": {"type": "boolean"}, "minItems": 2}, "none": {"type": "array", "maxItems": 0},
    "others": {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": {"type": "boolean"}},
    "only others": {"type": "object", "additionalProperties": {"type": "integer"}},
    "required alone": {"type": "object", "required": ["z"]},
    "nothing": {"type": "object", "additionalProperties": False},
    "all optional": {"type": "object", "properties": {k: {"const": k} for k in "abc"}},
    "below": {"type": "integer", "maximum": -7},
    "between": {"type": "integer", "minimum": -105, "exclusiveMaximum": 23},
    "above": {"type": "integer", "exclusiveMinimum": 98.5}, "a number": {"type": "number", "minimum": 0},
    "a pattern": {"type": "string", "pattern": "b[^a\\n]+"}, "a whole pattern": {"pattern": "^[\"\\\\\\n]{2}$"},
    "a short pattern": {"type": "string", "pattern": "^(ab)*", "maxLength": 3},
    "one of": {"oneOf": [{"type": "boolean"}, {"$ref": "#/$defs/n"}], "$defs": {"n": {"type": "null"}}},
    "itself": {"type": "array", "items": {"$ref": "#"}}, "all of one": {"allOf": [{"type": "boolean"}]},
}  # fmt: skip
SCALARS = [0, 1, -1, 7, -7, -8, 22, 23, 99, 98, 120, 121, -105, -106, 1000, 0.5, 1.5e3, True, False, None, "", "a", "b",
           "ab", "xbc", "b\n", '"\\', '"\n', "é", "abab", "a@b", "abc", "x" * 9, '"', "\\"]  # fmt: skip


@lru_cache(maxsize=64)
def force(text: str, whitespace: Any = "single") -> Force:
    grammar = Grammar.json_schema(json.loads(text), whitespace)
    found = compiled(Options(max_length=400, constraints=(grammar,)), len(SYMBOLS), SPELLING)
    assert found is not None
    return found


def accepts(schema: Any, text: str, whitespace: str = "single") -> bool:
    known = force(json.dumps(schema), whitespace)
    return bool(known.accepts(np.array([known.behind(SPELLING.encode(text))]))[0])


def values(pick: random.Random, names: list[str], depth: int = 3) -> Any:
    kind = pick.choice(["scalar", "scalar", "list", "object"]) if depth else "scalar"
    if kind == "list":
        return [values(pick, names, depth - 1) for _ in range(pick.randint(0, 3))]
    if kind == "object":
        return {name: values(pick, names, depth - 1) for name in pick.sample(names, pick.randint(0, 3))}
    return pick.choice(SCALARS)


NAMES = ["a", "b", "c", "z", "v", "kids", "name", "email", "age"]


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_written_is_valid_and_the_rest_is_not(name: str) -> None:
    schema, pick = SCHEMAS[name], random.Random(0)
    tried = [*SCALARS, *(values(pick, NAMES) for _ in range(400))]
    tried += [{"name": "x", "email": None}, {"name": "x", "age": 9, "tags": ["a", 1], "email": "a@b"}, {"age": 9}]
    tried += [{"v": 1, "kids": [{"v": 2}, {"v": 3, "kids": []}]}, [1, "x"], [1], [], [None, True], [None, True, False]]
    tried += [
        {"a": "a", "c": "c"},
        {"c": "c", "a": "a"},
        {"a": None, "q": True},
        {"a": None, "a2": 1},
        {"z": [1]},
        [[], [[]]],
    ]
    tried += [{"a": [1, 'x"\\\n', None], "b": {}}, {"a": 1}, "x" * 8]
    for value in tried:
        text = json.dumps(value, ensure_ascii=False)
        assert accepts(schema, text) == valid(schema, value, schema), (name, text)


def chatty(size: int) -> CallableStepper:
    likely = np.array([6.0 if symbol in '{}[]",:0159aben' else 0.0 for symbol in SYMBOLS])
    return CallableStepper(lambda t, s: (np.tile(likely, (len(t), 1)), s), size, normalise=True, spelling=SPELLING)


@pytest.mark.parametrize("whitespace", ["none", "single", "any"])
@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_drawn_is_valid(name: str, whitespace: Any) -> None:
    schema = SCHEMAS[name]
    constraint = Grammar.json_schema(schema, whitespace)
    options = Options(strategy="sample", count=30, max_length=80, constraints=(constraint,), seed=1)
    for output in decode(chatty(len(SYMBOLS)), [[0]], options)[0].outputs:
        value = json.loads(output.text or "")
        assert valid(schema, value, schema), output.text


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_reference_implementation_agrees(name: str) -> None:
    schema = SCHEMAS[name]
    validator = jsonschema.Draft202012Validator(schema)
    options = Options(strategy="sample", count=60, max_length=80, constraints=(Grammar.json_schema(schema),), seed=2)
    for output in decode(chatty(len(SYMBOLS)), [[0]], options)[0].outputs:
        assert validator.is_valid(json.loads(output.text or "")), output.text


@settings(max_examples=60, deadline=None)
@given(st.integers(-1200, 1200), st.integers(-1200, 1200))
def test_integers_in_a_range(one: int, other: int) -> None:
    low, high = sorted((one, other))
    schema = {"type": "integer", "minimum": low, "maximum": high}
    near = [*range(low - 3, low + 4), *range(high - 3, high + 4), *range(-1300, 1300, 97), 0, 9, 10, 99, 100, 999, 1000]
    for number in near:
        assert accepts(schema, str(number)) == (low <= number <= high), (schema, number)
    assert not accepts(schema, "-0")
    assert not accepts(schema, f"0{high}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [('"\\u00e9"', True), ('"\\u12"', False), ('"\\ud83d\\ude00"', True), ('"\\ud83d"', False), ('"\\x41"', False),
     ('"\\/"', True), ('"\n"', False), ("'a'", False), ('"a', False), ('""', True)],
)  # fmt: skip
def test_escapes_in_strings(text: str, expected: bool) -> None:
    assert accepts({"type": "string"}, text) == expected
    assert accepts({"type": "string", "maxLength": 1}, text) == expected


@pytest.mark.parametrize(
    ("format_", "right", "wrong"),
    [
        ("date", ["2024-02-28", "1999-12-31", "2000-04-30"], ["2024-02-30", "2024-13-01", "2024-04-31", "24-01-01"]),
        ("time", ["23:59:59Z", "00:00:00.25+01:30"], ["24:00:00Z", "12:00:00", "12:60:00Z"]),
        ("date-time", ["2024-01-02T03:04:05Z"], ["2024-01-02 03:04:05Z", "2024-01-02"]),
        ("uuid", ["123e4567-e89b-12d3-a456-426614174000"], ["123e4567e89b12d3a456426614174000"]),
    ],
)
def test_formats(format_: str, right: list[str], wrong: list[str]) -> None:
    schema = {"type": "string", "format": format_}
    assert all(accepts(schema, json.dumps(text)) for text in right)
    assert not any(accepts(schema, json.dumps(text)) for text in wrong)


def test_whitespace() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "array"}}}
    compact, plain, wide = '{"a":[1,2]}', '{"a": [1, 2]}', '{ "a" :\n[ 1,\t2 ] }'.replace("\t", " ")
    known = {"none": [compact], "single": [plain], "any": [compact, plain, wide]}
    for whitespace, right in known.items():
        for text in (compact, plain, wide):
            assert accepts(schema, text, whitespace) == (text in right)


DEEP: Any = {"type": "null"}
for _ in range(150):
    DEEP = {"type": "array", "items": DEEP}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "object", "properties": {"a": {"type": "number", "multipleOf": 2}}},
         "JSON schema, #/properties/a/multipleOf: multipleOf is not supported"),
        ({"not": {}}, "#/not: not is not supported"),
        ({"type": "array", "uniqueItems": True}, "#/uniqueItems: uniqueItems is not supported"),
        ({"patternProperties": {}}, "#/patternProperties: patternProperties is not supported"),
        ({"if": True}, "#/if: if is not supported"),
        ({"type": "string", "minlength": 3}, "#/minlength: minlength is not supported"),
        ({"type": "string", "format": "email"}, "#/format: 'email' is not supported; leave it out, or give a pattern"),
        ({"type": "number", "maximum": 3}, "#/maximum: maximum is supported for type integer, not for number"),
        ({"type": "number", "minimum": 3}, "#/minimum: of a number that is no integer, only minimum 0"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "there is no whole number from 3 to 2"),
        ({"type": "integer", "minimum": "3"}, "#/minimum: a finite number is needed, got '3'"),
        ({"type": "text"}, "#/type: type must be among object, .*, got 'text'"),
        ({"type": []}, r"#/type: type must be among object, .*, got \[\]"),
        ({"anyOf": [{"type": "null"}], "type": "object"}, "#/anyOf: anyOf beside type is not supported"),
        ({"anyOf": []}, r"#/anyOf: a list of at least one is needed, got \[\]"),
        ({"allOf": [{}, {}]}, "#/allOf: allOf of several schemas is not supported"),
        ({"$ref": "https://example.org/a"}, "#/\\$ref: a reference into this document is needed"),
        ({"$ref": "#/$defs/a"}, "#/\\$ref: #/\\$defs/a leads nowhere"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "derives no text"),
        ({"items": [{}]}, "#/items: a schema is needed; a list of them is prefixItems"),
        ({"properties": {"a": False}}, "#/properties/a: false allows nothing"),
        (False, "JSON schema, #: false allows nothing"),
        ("null", "JSON schema, #: a schema is an object, true or false, got 'null'"),
        ({"minItems": 3, "maxItems": 2}, "#/maxItems: 2 is below minItems, 3"),
        ({"minItems": 3, "prefixItems": [{}], "items": False}, "#/minItems: 3 items are asked for, 1 are allowed"),
        ({"minItems": -1}, "#/minItems: a whole number of at least 0 is needed, got -1"),
        ({"required": "a"}, "#/required: a list of names is needed, got 'a'"),
        ({"required": ["a"], "additionalProperties": False}, "#/required: 'a' is required, and no other properties"),
        ({"properties": []}, "#/properties: an object of schemas is needed"),
        ({"pattern": "(?=a)"}, "#/pattern: regular expression .* look-around"),
        ({"pattern": "^a|b$"}, r"#/pattern: \^ and \$ beside \| are not supported"),
        ({"pattern": 5}, "#/pattern: a regular expression is needed, got 5"),
        ({"pattern": "^a{,2}$"}, r"#/pattern: \{, means one thing to ECMA-262 and another to Python's re"),
        ({"pattern": r"[a\U0001F600]"}, r"#/pattern: .*\\U means one thing to ECMA-262"),
        ({"pattern": "[]a]"}, r"#/pattern: \[\] means one thing to ECMA-262"),
        ({"const": {1: 2}}, "#/const: names in an object are text, got 1"),
        ({"properties": {1: {}}}, "#/properties: names in an object are text, got 1"),
        ({"enum": [1], "type": "string"}, "#/enum: no value is of the type that is asked for"),
        ({"const": float("nan")}, "#/const: a value of JSON is needed, got nan"),
        (DEEP, "schemas are nested more than 100 deep; use \\$defs and \\$ref"),
    ],
)  # fmt: skip
def test_what_is_refused(schema: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        decode(chatty(len(SYMBOLS)), [[0]], Options(constraints=(Grammar.json_schema(schema),)))


@pytest.mark.parametrize(
    ("pattern", "characters"),
    [
        (r"^\s$", "\t\n\r "), (r"^\S$", "a0_é٣-"), (r"^[^\s]$", "a0_é٣-"), (r"^[^\S]$", "\t\n\r "), (r"^\d$", "0"),
        (r"^\D$", "a_é-\t\n\r \xa0\u2028\ufeff"), (r"^\w$", "a0_"), (r"^[^\w]$", "-\t\n\r \xa0\u2028\ufeff"),
        (r"^.$", "a0_é٣-\t \xa0\ufeff"), (r"^[{,]$", ""), (r"^[\\a]$", "a"),
    ],
)  # fmt: skip
def test_a_pattern_holds_what_ecma_262_and_python_agree_on(pattern: str, characters: str) -> None:
    every = "a0_é٣-\t\n\r \xa0\u2028\ufeff"
    spelling = Spelling.of([*every, *'"\\nrtu123456789bcdef'])
    constraint = Grammar.json_schema({"type": "string", "pattern": pattern})
    force = compiled(Options(constraints=(constraint,)), len(spelling), spelling)
    assert force is not None
    ends = [force.behind(spelling.encode(json.dumps(character, ensure_ascii=False))) for character in every]
    assert {c for c, is_met in zip(every, force.accepts(np.array(ends)), strict=True) if is_met} == set(characters)


def test_a_whitespace_that_is_none() -> None:
    with pytest.raises(ConfigError, match="whitespace must be one of none, single, any, got 'pretty'"):
        Grammar.json_schema({}, "pretty")  # type: ignore[arg-type]
