"""A run on a text from its settings to its model file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import torch

from elman.errors import ConfigError, DataError
from elman.models import LanguageModel
from elman.train import checkpoint, config
from elman.train.cell_choice import find_cell, settled
from elman.train.config import TextConfig
from elman.train.data import TextData, load_text
from elman.train.folder import RunFolder
from elman.train.loop import TextTraining
from elman.train.report import Listener, Outcome


def train_text(
    settings: TextConfig, folder: RunFolder, *, overwrite: bool = False, listen: Listener | None = None
) -> Outcome:
    """Train a language model.

    Args:
        settings: what to do; kept in the folder. A run by steps keeps the number of threads too: with it come the bits.
        folder: made, and written to.
        overwrite: replace an earlier run in it.
        listen: called after every step.

    Raises:
        ElmanError: the settings, the text or the folder cannot be used; or the loss is no number any more.
        Stopped: by Ctrl-C or SIGTERM; `resume_text` goes on.
    """
    config.check(settings)
    folder.check(overwrite)
    chosen = msgspec.structs.replace(
        settings,
        cell=settled(settings.cell),
        file=str(Path(settings.file).resolve()) if settings.file else "",
        threads=settings.threads or (torch.get_num_threads() if settings.steps else 0),
    )
    with _threads(chosen.threads):
        data = load_text(settings)
        model = _model(settings, data)
        folder.create()
        config.write(folder.config, chosen)
        return TextTraining(chosen, data, model, folder, listen).run()


def resume_text(folder: RunFolder, *, given: TextConfig | None = None, listen: Listener | None = None) -> Outcome:
    """Continue a run from its checkpoint; one that has ended gives its outcome again.

    Args:
        folder: of the run.
        given: settings that the user named again; each must be the run's own, or the default.
        listen: called after every step.

    Raises:
        ConfigError: no run there, or its cell's equations or the given settings differ from the run's.
        DataError: the text has changed.
        FormatError: the checkpoint cannot be read.
    """
    folder.open()
    chosen = config.read(folder.config)
    if given is not None:
        _agree(given, chosen, folder)
    with _threads(chosen.threads):
        data = load_text(chosen)
        training = TextTraining(chosen, data, _model(chosen, data), folder, listen)
        if folder.checkpoint.exists():
            saved = checkpoint.load(folder.checkpoint)
            _unchanged(saved, training, chosen)
            training.restore(saved)
        else:
            folder.cut_metrics(0)
        return training.run()


def _model(chosen: TextConfig, data: TextData) -> LanguageModel:
    cell = find_cell(chosen.cell)
    torch.manual_seed(chosen.seed)
    try:
        return LanguageModel(cell, len(data.vocabulary), chosen.hidden, chosen.layers, chosen.dropout)
    except (MemoryError, RuntimeError):  # torch's allocator raises the latter
        raise ConfigError(
            f"--hidden {chosen.hidden} in --layers {chosen.layers}: a model of that size does not fit into memory"
        ) from None


def _agree(given: TextConfig, chosen: TextConfig, folder: RunFolder) -> None:
    default = TextConfig(file="")
    for name in given.__struct_fields__:
        value, own = getattr(given, name), getattr(chosen, name)
        same = {"cell": settled(str(value)), "file": str(Path(str(value)).resolve())}.get(name, value) == own
        if value != getattr(default, name) and not same:
            raise ConfigError(
                f"{folder.path}: a resumed run keeps its settings; {name} is {own!r} there and {value!r} was given; "
                "leave it out, or start another run"
            )


def _unchanged(saved: checkpoint.Checkpoint, training: TextTraining, chosen: TextConfig) -> None:
    if saved.facts.get("text") != training.data.digest:
        raise DataError(
            f"{chosen.file or 'the demo text'}: the text has changed since the run began; start another run"
        )
    if saved.facts.get("graph") != training.model.recurrent.graph.hash:
        raise ConfigError(f"{chosen.cell}: its equations have changed since the run began; start another run")


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
