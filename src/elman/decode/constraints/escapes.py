"""Escapes behind a backslash, as Python's `re` reads them, and classes of characters as it knows them."""

from __future__ import annotations

import sys
import unicodedata
from functools import cache

from elman.decode.constraints.pattern import Ranges, complement, union

_LETTERS = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_HEX = {"x": 2, "u": 4, "U": 8}
_OCTAL = "01234567"
_LARGEST_OCTAL = 0o377
_ASCII = {"d": ((48, 57),), "w": ((48, 57), (65, 90), (95, 95), (97, 122)), "s": ((9, 13), (32, 32))}
# What a class such as `\s` holds: to Python's `re`; to that and to ECMA-262 both; to one of the two at least.
PYTHON, BOTH, EITHER = "python", "both", "either"
_OPPOSITE = {PYTHON: PYTHON, BOTH: EITHER, EITHER: BOTH}
_MARK = (0xFEFF, 0xFEFF)  # the byte-order mark, a blank to ECMA-262 alone


@cache
def class_of(letter: str, reading: str = PYTHON) -> Ranges | None:
    """The characters of `\\d`, `\\w`, `\\s` and of their opposites; None for other letters."""
    if letter.lower() not in _ASCII:
        return None
    if letter.isupper():
        return complement(class_of(letter.lower(), _OPPOSITE[reading]) or ())
    if reading == BOTH:
        return _ASCII[letter]
    inside = [point for point in range(sys.maxunicode + 1) if _belongs(chr(point), letter)]
    begins = [p for before, p in zip([-2, *inside], inside, strict=False) if p != before + 1]
    ends = [p for p, after in zip(inside, [*inside[1:], -2], strict=True) if p + 1 != after]
    found = tuple(zip(begins, ends, strict=True))
    return union((*found, _MARK)) if reading == EITHER and letter == "s" else found


def _belongs(character: str, letter: str) -> bool:
    if letter == "w":
        return character.isalnum() or character == "_"
    return character.isdecimal() if letter == "d" else character.isspace()


def character(text: str, place: int, in_set: bool = False) -> tuple[int, int]:
    """The code point that an escape stands for, and the place behind it.

    Args:
        text: with the escape in it.
        place: of what comes behind the backslash.
        in_set: it stands between square brackets.

    Raises:
        ValueError: it stands for no character; the message says why.
    """
    mark = text[place : place + 1]
    if mark in _LETTERS:
        return _LETTERS[mark], place + 1
    if mark in _HEX:
        return _hexadecimal(text, place)
    if mark == "N":
        return _named(text, place)
    if mark == "b" and in_set:
        return 8, place + 1
    if mark and mark in "0123456789":
        return _octal(text, place, in_set)
    if not mark:
        raise ValueError("it ends too early")
    if mark.isascii() and mark.isalpha():
        raise ValueError(f"\\{mark} is not known here; boundaries and anchors are not supported")
    return ord(mark), place + 1


def _hexadecimal(text: str, place: int) -> tuple[int, int]:
    count = _HEX[text[place]]
    digits = text[place + 1 : place + 1 + count]
    is_number = len(digits) == count and all(digit in "0123456789abcdefABCDEF" for digit in digits)
    if not is_number or int(digits, 16) > sys.maxunicode:
        raise ValueError(f"\\{text[place]} needs {count} hexadecimal digits of a character")
    return int(digits, 16), place + 1 + count


def _named(text: str, place: int) -> tuple[int, int]:
    end = text.find("}", place)
    name = text[place + 2 : end]
    if text[place + 1 : place + 2] != "{" or end < 0:
        raise ValueError("\\N needs the name of a character, \\N{…}")
    try:
        return ord(unicodedata.lookup(name)), end + 1
    except (KeyError, TypeError):  # unknown, or a sequence of several characters
        raise ValueError(f"\\N: no character is named {name!r}") from None


def _octal(text: str, place: int, in_set: bool) -> tuple[int, int]:
    count = 1
    while count < 3 and text[place + count : place + count + 1] in tuple(_OCTAL):
        count += 1
    digits = text[place : place + count]
    if digits[0] not in _OCTAL or not (in_set or digits[0] == "0" or count == 3):
        raise ValueError(f"\\{digits[0]} is not known here; back-references are not supported")
    if int(digits, 8) > _LARGEST_OCTAL:
        raise ValueError(f"\\{digits} is above the largest octal escape, \\377")
    return int(digits, 8), place + count
