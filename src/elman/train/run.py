"""A run from its settings to its model file."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from elman.errors import ConfigError, DataError, FormatError
from elman.train import checkpoint, config
from elman.train.checkpoint import Checkpoint
from elman.train.config import Config
from elman.train.folder import RunFolder
from elman.train.loop import Training
from elman.train.prepare import Experiment, absolute, prepare
from elman.train.reports import Listener, Outcome
from elman.train.settings import BudgetSettings

# What may change while a run goes on: where the data lies (its digest may not change), how long, and how often.
CHANGEABLE = ("source", *BudgetSettings.__struct_fields__)


def train(asked: Config, folder: RunFolder, *, overwrite: bool = False, listen: Listener | None = None) -> Outcome:
    """Train a network.

    Args:
        asked: what to do; kept in the folder. A run by steps keeps the number of threads too: with it come the bits.
        folder: made, and written to.
        overwrite: replace an earlier run in it.
        listen: called after every step.

    Raises:
        ElmanError: the data, the cell or the folder cannot be used; or the loss is no number any more.
        Stopped: by Ctrl-C, SIGTERM or SIGHUP; `resume` goes on.
    """
    folder.check(overwrite)
    with _threads(asked.budget.threads):
        experiment = prepare(asked)
        training = Training(experiment, folder, listen)
        folder.create()
        with folder.locked():
            folder.clear(overwrite)
            config.write(folder.config, experiment.config)
            return training.run()


def resume(
    folder: RunFolder,
    *,
    given: Mapping[str, Any] | None = None,
    listen: Listener | None = None,
    tell: Callable[[str], None] = warnings.warn,
) -> Outcome:
    """Continue a run from its checkpoint; one that has ended gives its outcome again.

    Args:
        folder: of the run.
        given: settings that the user names again, by name; those in `CHANGEABLE` are taken, others must be the run's.
        listen: called after every step.
        tell: called with a line where something is not as it should be, and the run goes on all the same.

    Raises:
        ConfigError: no run there, another process trains there, or settings or equations differ from the run's.
        DataError: the data have changed.
        FormatError: no checkpoint can be read.
    """
    folder.check_resumable()
    with folder.locked():
        folder.clear_leftovers()
        written = config.read(folder.config)
        asked = absolute(written.replaced(given or {}))
        saved = read_checkpoint(folder, tell)
        own = written if saved is None else saved.facts.config
        _agree(asked, own, folder)
        with _threads(asked.budget.threads):
            experiment = prepare(asked)
            _unchanged(experiment, own)
            training = Training(experiment, folder, listen)
            if saved is not None:
                training.restore(saved)
            else:
                folder.cut_metrics(0)
            if experiment.config != written:
                config.write(folder.config, experiment.config)
            return training.run()


def read_checkpoint(folder: RunFolder, tell: Callable[[str], None]) -> Checkpoint | None:
    """The last checkpoint that is whole; None where none was written yet.

    Raises:
        FormatError: there are some, and none is whole.
    """
    faults: list[str] = []
    for path in (folder.checkpoint, folder.previous):
        if not path.exists():
            continue
        try:
            found = checkpoint.load(path)
        except FormatError as error:
            faults.append(str(error))
            continue
        if path == folder.previous:
            folder.checkpoint_is_lost()
        for fault in faults:
            tell(f"{fault}; the checkpoint before it is taken, of step {found.facts.counters.step}")
        return found
    if faults:
        raise FormatError(f"{'; '.join(faults)}; no checkpoint is left: begin anew with `overwrite`")
    return None


def _agree(asked: Config, own: Config, folder: RunFolder) -> None:
    """Refuse what a run that goes on cannot change."""
    theirs = own.by_name()
    for name, value in asked.by_name().items():
        moved = name == "cell" and ":" in value and ":" in theirs[name]  # its equations are compared
        if name not in CHANGEABLE and not moved and value != theirs[name]:
            raise ConfigError(
                f"{folder.path}: a resumed run keeps its settings; `{name}` is {theirs[name]!r} there and {value!r} "
                "was asked for; leave it out, or start another run"
            )


def _unchanged(experiment: Experiment, own: Config) -> None:
    now = experiment.config
    if now.digest != own.digest:
        name = now.source or "what ships with Python"
        raise DataError(f"{name}: the data have changed since the run began; start another run")
    if now.equations != own.equations:
        cell = now.network.cell
        raise ConfigError(f"`cell` {cell}: its equations have changed since the run began; start another run")


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
