"""Sizes without a letter: those of constants get one; those that follow from nothing are asked for.

A guess would train, and be another network than was meant.
"""

from __future__ import annotations

from collections.abc import Iterable

from elman.equations.graph import PRODUCTS, live
from elman.equations.language.tracer import Tracer, Use

_LETTERS = "RKMQSABCEFGIJLNOPTUVWXYZ"  # those of inputs and states aside


def name_constant_sizes(tracer: Tracer) -> None:
    """Give a letter of its own to each size that is known only by the length of a constant."""
    for name in tracer.sizes.constants:
        use = tracer.used.get(name)
        for size in use.sizes if use else ():
            letter = _free_letter(tracer)
            if tracer.builder.resolve(size).startswith("?") and letter:
                tracer.builder.unify(size, letter)


def refuse_open_sizes(tracer: Tracer, results: Iterable[int]) -> None:
    """Raise EquationError, with its line, for the first parameter of a size that nothing settles."""
    used = live(tracer.builder.nodes, results)
    named = {
        str(node.value)
        for index, node in enumerate(tracer.builder.nodes)
        if used[index] and (node.op == "vector" or node.op in PRODUCTS)
    }
    for name, use in tracer.used.items():
        for axis, size in enumerate(use.sizes):
            found = tracer.builder.resolve(size)
            if name in named and found.startswith("?"):
                also = [other for other in named - {name} if _has(tracer, tracer.used[other], found)]
                shared = f" ({', '.join(sorted(also))} must fit)" if also else ""
                example = _example(tracer, use, axis)
                tracer.refuse(
                    f"nothing says {_question(name, use, axis)}{shared}",
                    f'name the size, with a letter of its own or one that is there: parameters="{name}:{example}"',
                    use.line,
                )


def _has(tracer: Tracer, use: Use, size: str) -> bool:
    return size in [tracer.builder.resolve(other) for other in use.sizes]


def _question(name: str, use: Use, axis: int) -> str:
    if use.kind == "vector":
        return f"how many units {name} has"
    return (f"how many rows {name} has", f"how many columns {name} has", f"how many columns a block of {name} has")[
        axis
    ]


def _example(tracer: Tracer, use: Use, axis: int) -> str:
    """Sizes as they would be declared, with a letter that nothing has yet for the open one."""
    free = _free_letter(tracer) or "Z"
    rows = tracer.builder.resolve(use.sizes[0])
    return free if axis == 0 else f"{'H' if rows.startswith('?') else rows},{free}"


def _free_letter(tracer: Tracer) -> str | None:
    """A letter that nothing has yet."""
    taken = {tracer.builder.resolve(node.size) for node in tracer.builder.nodes}
    taken |= {tracer.builder.resolve(size) for use in tracer.used.values() for size in use.sizes}
    taken |= {size for sizes in tracer.sizes.declared.values() for size in sizes}
    return next((letter for letter in _LETTERS if letter not in taken), None)
