"""Checkpoints that were damaged, changed or deleted, and models that were."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from elman.errors import ConfigError, FormatError
from elman.formats import safetensors, sealed
from elman.train.config import Config
from elman.train.folder import RunFolder
from elman.train.run import resume
from elman.train.stopping import Stopped
from tests.train.test_resume import remains, stop_at

Small = Callable[..., Config]


def test_a_model_file_that_was_deleted_is_written_again(half: RunFolder, whole: RunFolder) -> None:
    half.model.unlink()
    resume(half)
    assert half.model.read_bytes() == whole.model.read_bytes()
    for damage in (b"", half.model.read_bytes()[:-5]):  # also of a run that has ended
        half.model.write_bytes(damage)
        resume(half)
        assert half.model.read_bytes() == whole.model.read_bytes()


def test_no_bit_of_a_checkpoint_can_be_changed(half: RunFolder, whole: RunFolder, tmp_path: Path) -> None:
    data = half.checkpoint.read_bytes()
    rng = np.random.default_rng(0)
    header = 8 + int.from_bytes(data[:8], "little")
    for place in [*rng.integers(0, header, 40), *rng.integers(header, len(data), 40)]:
        changed = bytearray(data)
        changed[place] ^= 1 << int(rng.integers(8))
        with pytest.raises(FormatError, match="damaged"):
            read(half, bytes(changed))


def read(folder: RunFolder, data: bytes) -> None:
    from elman.train import checkpoint

    path = folder.path / "damaged"
    path.write_bytes(data)
    checkpoint.load(path)


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(half: RunFolder, whole: RunFolder) -> None:
    data = bytearray(half.checkpoint.read_bytes())
    data[len(data) // 2] ^= 1
    half.checkpoint.write_bytes(data)
    told: list[str] = []
    resume(half, tell=told.append)
    assert told == [
        f"{half.checkpoint}: its checksum is wrong: the file was damaged or changed; "
        "the checkpoint before it is taken, of step 12"
    ]
    assert remains(half) == remains(whole)


def test_a_checkpoint_without_its_seal_is_refused(half: RunFolder) -> None:
    tensors, metadata = safetensors.load(half.checkpoint)
    del metadata[sealed.KEY]
    with pytest.raises(FormatError, match="has no checksum"):
        read(half, safetensors.dumps(tensors, metadata))


def test_a_checkpoint_of_another_version_is_refused(half: RunFolder) -> None:
    resealed(half, put(1, "version"))
    with pytest.raises(FormatError, match="a checkpoint of version 1; this version of Elman reads 2"):
        resume(half)


def test_a_process_killed_between_two_renames(half: RunFolder, whole: RunFolder) -> None:
    half.checkpoint.unlink()
    resume(half, tell=lambda line: pytest.fail(line))
    assert remains(half) == remains(whole)


def test_no_checkpoint_is_left(half: RunFolder) -> None:
    for path in (half.checkpoint, half.previous):
        path.write_bytes(path.read_bytes()[:-7])
    message = r"checkpoint\.safetensors.*checkpoint\.previous\.safetensors.*no checkpoint is left: begin anew with"
    with pytest.raises(FormatError, match=message):
        resume(half)


def resealed(folder: RunFolder, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the facts of both checkpoints as somebody would who knows how to seal them."""
    for path in (folder.checkpoint, folder.previous):
        tensors, metadata = safetensors.load(path)
        about = json.loads(metadata["elman.checkpoint"])
        about = change(about) or about
        path.write_bytes(sealed.dumps(tensors, {"elman.checkpoint": json.dumps(about)}))


def put(value: Any, *place: str) -> Callable[[dict[str, Any]], None]:
    def change(about: dict[str, Any]) -> None:
        inner: Any = about
        for name in place[:-1]:
            inner = inner[name]
        if value is ...:
            del inner[place[-1]]
        else:
            inner[place[-1]] = value

    return change


PLACES = [
    ("version",), ("facts",), ("facts", "config"), ("facts", "counters"), ("facts", "streams"), ("facts", "metrics"),
    ("facts", "counters", "step"), ("facts", "counters", "marked"), ("facts", "counters", "seconds"),
    ("facts", "counters", "measures"), ("facts", "counters", "loss"), ("facts", "streams", "position"),
    ("facts", "streams", "epoch"), ("facts", "streams", "length"), ("facts", "streams", "batch"),
    ("facts", "config", "optimiser"), ("facts", "config", "optimiser", "learning_rate"), ("facts", "config", "task"),
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=".".join)
@pytest.mark.parametrize("value", [None, "text", -1, [], {"a": None}, 1e999, 10**30, True], ids=repr)
def test_changed_facts_are_an_error_of_ours(half: RunFolder, place: tuple[str, ...], value: Any) -> None:
    """Whatever stands there: either it is refused, or it is what may stand there (a step count, a loss)."""
    resealed(half, put(value, *place))
    with suppress(FormatError, ConfigError, Stopped):
        resume(half, listen=stop_at(16))


@pytest.mark.parametrize("place", [place for place in PLACES if len(place) > 1], ids=".".join)
def test_facts_that_are_missing(half: RunFolder, place: tuple[str, ...]) -> None:
    resealed(half, put(..., *place))
    with suppress(FormatError, ConfigError, Stopped):
        resume(half, listen=stop_at(16))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model.head.bias", np.zeros(3, np.float32)),
        ("model.head.bias", np.zeros(30, np.int64)),
        ("optimiser.0.exp_avg", np.zeros(3, np.float32)),
        ("optimiser.x.exp_avg", np.zeros(3, np.float32)),
        ("optimiser.99.exp_avg", np.zeros(3, np.float32)),
        ("state.h", np.zeros((1, 3, 5), np.float32)),
        ("state.z", np.zeros((1, 3, 12), np.float32)),
        ("state.h", np.zeros((), np.float32)),
        ("state.h", np.zeros((1, 7, 12), np.float32)),
        ("random", np.zeros(3, np.uint8)),
        ("random", None),
        ("optimiser.1.exp_avg", None),
        ("best", np.zeros(3)),
    ],
    ids=str,
)
def test_tensors_that_do_not_fit(half: RunFolder, name: str, value: Any) -> None:
    for path in (half.checkpoint, half.previous):
        tensors, metadata = safetensors.load(path)
        del metadata["elman.sha256"]
        tensors[name] = value
        path.write_bytes(sealed.dumps({n: t for n, t in tensors.items() if t is not None}, metadata))
    with pytest.raises(FormatError, match="checkpoint"):
        resume(half)
