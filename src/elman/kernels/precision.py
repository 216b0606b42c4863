"""In which numbers a program computes."""

from __future__ import annotations

from enum import IntEnum


class Precision(IntEnum):
    """The element type of memory, and of the factors of products where it is another (bound.h has the same numbers).

    With BFLOAT16, memory is float32. A product's factors, a matrix and the rows that it multiplies, are rounded to
    bfloat16 where they are laid out for it; products add up in float32, and so does everything else.
    """

    FLOAT32 = 0
    FLOAT64 = 1
    BFLOAT16 = 2

    @classmethod
    def of(cls, is_double: bool, bfloat16: bool = False) -> Precision:
        """That of memory in float64, or in float32 with the factors of products rounded or not."""
        if is_double:
            return cls.FLOAT64
        return cls.BFLOAT16 if bfloat16 else cls.FLOAT32

    @property
    def is_double(self) -> bool:
        """Whether memory is float64."""
        return self is Precision.FLOAT64
