"""What a run is asked to do: one frozen structure a part, each checked where it is made, joined into one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import msgspec

from elman.cells.sizes import LARGEST
from elman.errors import ConfigError

DEFAULT_MINUTES = 5.0
_MOST = sys.float_info.max
_INFINITE = float("inf")

Range = tuple[str, float, float]  # in words, the lowest and the highest
POSITIVE_COUNT: Range = ("at least 1", 1, _INFINITE)
LAYER_SIZE: Range = (f"at least 1 and below {LARGEST:,}", 1, LARGEST - 1)
SHARE: Range = ("from 0 to less than 1", 0, 1 - 1e-9)
POSITIVE: Range = ("above 0 and finite", 1e-300, _MOST)


class Part(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Some settings; `ranges` holds what each may be.

    Raises:
        ConfigError: a setting is of another kind, or out of its range.
    """

    ranges: ClassVar[Mapping[str, Range]] = {}

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(type(self)):
            try:
                msgspec.convert(getattr(self, field.name), field.type)
            except msgspec.ValidationError as error:
                raise ConfigError(f"`{field.name}`: {_plain(error)}, here {getattr(self, field.name)!r}") from None
            _check_text(field.name, getattr(self, field.name))
        for name, (words, low, high) in self.ranges.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ConfigError(f"`{name}` must be {words}, got {value}")


def _check_text(name: str, value: object) -> None:
    """Refuse what cannot be written down: a file's name may hold any bytes, config.toml holds UTF-8."""
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConfigError(
                f"`{name}` {value!r}: a name in UTF-8 expected; rename it, or make a link to it"
            ) from None


def _plain(error: msgspec.ValidationError) -> str:
    """What msgspec expected and got, without its marks: in ours they are for settings."""
    text = str(error).replace("`", "")
    return text[:1].lower() + text[1:]


class DataSettings(Part, kw_only=True, frozen=True):
    """What is read, and what is held out.

    Attributes:
        bytes: read the file as bytes; any file will do, and no character is ever unknown.
        validation: share of the data, at its end, that is held out.
    """

    ranges = {"validation": ("between 0 and 1", 1e-9, 1 - 1e-9)}
    bytes: bool = False
    validation: float = 0.1


class NetworkSettings(Part, kw_only=True, frozen=True):
    """The network.

    Attributes:
        cell: the recurrence: the name of a built-in cell, or file.py:name for one of your own.
        hidden: hidden units of a layer.
        layers: layers of the stack.
        sizes: sizes of the cell's letters other than D and H, such as P 64.
        dropout: share of the values between layers and before the head that is zeroed in training.
    """

    ranges = {"hidden": LAYER_SIZE, "layers": POSITIVE_COUNT, "dropout": SHARE}
    cell: str = "lstm"
    hidden: int = 256
    layers: int = 1
    sizes: dict[str, int] = {}
    dropout: float = 0.0


class OptimiserSettings(Part, kw_only=True, frozen=True):
    """How it learns.

    Attributes:
        batch: streams of data that are read side by side.
        chunk: steps that gradients flow back through.
        learning_rate: Adam's step size at its highest.
        warmup: share of the run in which the learning rate rises to it; after that it falls along a cosine.
        clip: largest norm of the gradient; a larger one is scaled down to it.
        precision: bfloat16 rounds the factors of products in training to it, which is faster where the processor has
            such products; sums, states, weights and the held-out part stay in float32.
        seed: of the weights and of dropout.
    """

    ranges = {
        "batch": POSITIVE_COUNT,
        "chunk": POSITIVE_COUNT,
        "learning_rate": POSITIVE,
        "warmup": SHARE,
        "clip": ("above 0", 1e-300, _INFINITE),
        "seed": ("at least 0 and below 2**63", 0, 2**63 - 1),
    }
    batch: int = 16
    chunk: int = 64
    learning_rate: float = 8e-3
    warmup: float = 0.05
    clip: float = 1.0
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0


class BudgetSettings(Part, kw_only=True, frozen=True):
    """How long it takes, and what it may cost. These may change while a run goes on.

    Attributes:
        steps: length of the run in updates; such a run gives the same bits every time.
        minutes: length of the run by the clock (5 where no steps are given); with steps, whichever comes first.
        validations: how often the held-out part is measured.
        checkpoint_seconds: the longest that a killed run can lose.
        threads: threads to compute with; with 0 a run by steps takes what the machine offers, a run by the clock tries
            out what is fastest.
    """

    ranges = {
        "steps": POSITIVE_COUNT,
        "minutes": POSITIVE,
        "validations": POSITIVE_COUNT,
        "checkpoint_seconds": ("at least 0", 0, _INFINITE),
        "threads": ("from 0 to 1024", 0, 1024),
    }
    steps: int | None = None
    minutes: float | None = None
    validations: int = 10
    checkpoint_seconds: float = 60.0
    threads: int = 0

    @property
    def seconds(self) -> float | None:
        """The longest that the run may take, in seconds; None where only steps end it."""
        if self.minutes is None:
            return None if self.steps is not None else 60.0 * DEFAULT_MINUTES
        return 60.0 * self.minutes


class Settings(Part, kw_only=True, frozen=True):
    """What can be chosen about a run. Every setting has a name of its own, whatever part it is in.

    Attributes:
        data: what is read, and what is held out.
        network: the network.
        optimiser: how it learns.
        budget: how long it takes, and what it may cost.
    """

    data: DataSettings = DataSettings()
    network: NetworkSettings = NetworkSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    budget: BudgetSettings = BudgetSettings()

    def replaced(self, values: Mapping[str, Any]) -> Self:
        """With other values for some settings. Raises ConfigError for a name that no setting has."""
        left, changes = dict(values), {}
        for name in self.__struct_fields__:
            own = getattr(self, name)
            if isinstance(own, Part):
                mine = {field: left.pop(field) for field in own.__struct_fields__ if field in left}
                changes[name] = msgspec.structs.replace(own, **mine)
            elif name in left:
                changes[name] = left.pop(name)
        if left:
            raise ConfigError(f"there is no setting `{min(left)}`; there are {', '.join(self.by_name())}")
        return msgspec.structs.replace(self, **changes)

    def by_name(self) -> dict[str, Any]:
        """Every setting with its value, whatever part it is in."""
        found: dict[str, Any] = {}
        for name in self.__struct_fields__:
            own = getattr(self, name)
            found |= msgspec.structs.asdict(own) if isinstance(own, Part) else {name: own}
        return found
