"""What a run is asked to do, checked once, and its TOML form in the run folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal

import msgspec

from elman.errors import ConfigError
from elman.formats.atomic import atomic_write

DEFAULT_MINUTES = 5.0
_MOST = sys.float_info.max


class TextSettings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What can be chosen about training on a text.

    Attributes:
        cell: the recurrence: the name of a built-in cell, or file.py:name for one of your own.
        hidden: hidden units of a layer.
        layers: layers of the stack.
        dropout: share of the values between layers and before the head that is zeroed in training.
        bytes: read the file as bytes; any file will do, and no character is ever unknown.
        validation: share of the text, at its end, that is held out.
        batch: streams of text that are read side by side.
        chunk: steps that gradients flow back through.
        learning_rate: Adam's step size at its highest.
        warmup: share of the run in which the learning rate rises to it; after that it falls along a cosine.
        clip: largest norm of the gradient; a larger one is scaled down to it.
        steps: length of the run in updates; such a run gives the same bits every time.
        minutes: length of the run by the clock (5 where no steps are given); with steps, whichever comes first.
        validations: how often the held-out part is measured.
        checkpoint_seconds: the longest that a killed run can lose.
        precision: bfloat16 rounds the factors of products in training to it, which is faster where the processor has
            such products; sums, states, weights and the held-out part stay in float32.
        seed: of the weights and of dropout.
        threads: threads to compute with; with 0 a run by steps takes what the machine offers, a run by the clock tries
            out what is fastest.
    """

    cell: str = "lstm"
    hidden: int = 256
    layers: int = 1
    dropout: float = 0.0
    bytes: bool = False
    validation: float = 0.1
    batch: int = 16
    chunk: int = 64
    learning_rate: float = 8e-3
    warmup: float = 0.05
    clip: float = 1.0
    steps: int | None = None
    minutes: float | None = None
    validations: int = 10
    checkpoint_seconds: float = 60.0
    precision: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0
    threads: int = 0

    @property
    def seconds(self) -> float | None:
        """The longest that the run may take, in seconds; None where only steps end it."""
        if self.minutes is None:
            return None if self.steps is not None else 60.0 * DEFAULT_MINUTES
        return 60.0 * self.minutes


class TextConfig(TextSettings, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """All that a run on a text is made from: the settings, and the file ("" is the demo text)."""

    file: str


_RANGES: dict[str, tuple[str, float, float]] = {
    "hidden": ("at least 1", 1, float("inf")),
    "layers": ("at least 1", 1, float("inf")),
    "dropout": ("from 0 to less than 1", 0, 1 - 1e-9),
    "validation": ("between 0 and 1", 1e-9, 1 - 1e-9),
    "batch": ("at least 1", 1, float("inf")),
    "chunk": ("at least 1", 1, float("inf")),
    "learning_rate": ("above 0 and finite", 1e-300, _MOST),
    "warmup": ("from 0 to less than 1", 0, 1 - 1e-9),
    "clip": ("above 0", 1e-300, float("inf")),
    "steps": ("at least 1", 1, float("inf")),
    "minutes": ("above 0 and finite", 1e-300, _MOST),
    "validations": ("at least 1", 1, float("inf")),
    "checkpoint_seconds": ("at least 0", 0, float("inf")),
    "seed": ("at least 0 and below 2**63", 0, 2**63 - 1),
    "threads": ("from 0 to 1024", 0, 1024),
}


def check(settings: TextSettings) -> None:
    """Raise ConfigError unless every setting is in its range."""
    for name, (range_, low, high) in _RANGES.items():
        value = getattr(settings, name)
        if value is not None and not low <= value <= high:
            raise ConfigError(f"--{name.replace('_', '-')} must be {range_}, got {value}")


def write(path: Path, config: TextConfig) -> None:
    """Write a configuration as TOML."""
    values = msgspec.to_builtins(config)
    lines = [f"{name} = {_toml(value)}\n" for name, value in values.items() if value is not None]
    with atomic_write(path) as file:
        file.write("".join(lines).encode())


def read(path: Path) -> TextConfig:
    """Read a configuration back. Raises ConfigError where the file is missing, no TOML, or holds what no setting is."""
    try:
        config = msgspec.toml.decode(path.read_bytes(), type=TextConfig)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: not the configuration of a run: {error}") from None
    check(config)
    return config


def _toml(value: str | float | bool) -> str:
    """A TOML value; JSON's strings, numbers and booleans are TOML's, but for infinity and the delete character."""
    if value == float("inf"):
        return "inf"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
