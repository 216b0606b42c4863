"""What stands on top of a network, as values that a model file holds: one class a kind, and the registry.

A head is a linear map from the H values of the top layer to `outputs` numbers, and the meaning of these numbers. What
a kind computes of them lives with those who compute: `elman.runtime.head` without torch, the tasks with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from elman.errors import FormatError


@dataclass(frozen=True)
class HeadSpec:
    """The common ground of all kinds; a kind's fields are its sizes, and are saved as they stand."""

    kind: ClassVar[str]

    @property
    def outputs(self) -> int:
        """Numbers that the linear map gives for each step."""
        raise NotImplementedError

    def shapes(self, width: int) -> dict[str, tuple[int, ...]]:
        """The tensors that it needs, over a top layer of `width` values."""
        return {"head.weight": (self.outputs, width), "head.bias": (self.outputs,)}

    def to_json(self) -> dict[str, Any]:
        """The head as plain JSON values."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Softmax(HeadSpec):
    """Logits of V classes.

    Attributes:
        size: V.
    """

    kind: ClassVar[str] = "softmax"
    size: int

    def __post_init__(self) -> None:
        if type(self.size) is not int or self.size < 1:
            raise FormatError(f"a softmax head needs a size of at least 1, got {self.size!r}")

    @property
    def outputs(self) -> int:
        """One logit a class."""
        return self.size


REGISTRY: dict[str, type[HeadSpec]] = {head.kind: head for head in (Softmax,)}


def from_json(data: Mapping[str, Any]) -> HeadSpec:
    """Read a head back. Raises FormatError where the kind is not known here, or its sizes are not what it needs."""
    sizes = dict(data)
    kind = sizes.pop("kind", None)
    if not isinstance(kind, str) or kind not in REGISTRY:
        raise FormatError(
            f"a head of the kind {', '.join(REGISTRY)} expected, got {kind!r}; written by a later version?"
        )
    try:
        return REGISTRY[kind](**sizes)
    except TypeError:
        raise FormatError(f"a {kind} head does not have the sizes {', '.join(sizes) or 'none'}") from None
