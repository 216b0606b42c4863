"""elman train"""

from __future__ import annotations

import json as json_
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
from tyro.conf import OmitArgPrefixes, Positional, arg

from elman.cli.progress import ProgressLine, say
from elman.cli.status import ExitStatus
from elman.errors import ConfigError
from elman.train.config import TextConfig, TextSettings
from elman.train.folder import RunFolder
from elman.train.report import Outcome


def text(
    file: Annotated[Positional[str | None], arg(metavar="FILE")] = None,
    *,
    demo: bool = False,
    run: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    json: bool = False,
    settings: OmitArgPrefixes[TextSettings] = TextSettings(),  # noqa: B008 (frozen)
) -> int:
    """Train a language model on a text: it learns to predict the next character from all before it.

    The run's folder holds config.toml, metrics.jsonl, checkpoint.safetensors and, from the best validation so far,
    model.safetensors. Ctrl-C leaves a run that --resume continues as if nothing had happened.

    Args:
        file: text in UTF-8, or any file with --bytes.
        demo: train on the text that ships with every CPython.
        run: the run's folder; by default runs/ with the names of the file and the cell.
        resume: continue the run in that folder, with the settings it has.
        overwrite: begin anew in a folder that holds a run.
        json: print the outcome as JSON.
        settings: what can be chosen.
    """
    _check_choices(file, demo, run, resume, overwrite)
    folder = RunFolder(run or _default_run(file, settings.cell))
    outcome = _train(TextConfig(file=file or "", **msgspec.structs.asdict(settings)), folder, resume, overwrite)
    if json:
        print(json_.dumps(asdict(outcome)))
        return ExitStatus.OK
    print(
        f"{outcome.cell} {outcome.hidden}, {outcome.parameters:,} parameters: "
        f"{outcome.bits_per_character:.3f} bits per character on the held-out part, "
        f"after {outcome.step_of_best:,} of {outcome.steps:,} steps"
    )
    say(f"{folder.model} is written; try: elman sample {folder.path}")
    return ExitStatus.OK


def _check_choices(file: str | None, demo: bool, run: Path | None, resume: bool, overwrite: bool) -> None:
    """Raise ConfigError where the options contradict one another, or say too little."""
    if file is not None and demo:
        raise ConfigError(f"--demo brings its own text; leave out {file}, or --demo")
    if resume and overwrite:
        raise ConfigError("--resume continues a run and --overwrite begins anew: choose one")
    if file is None and not demo and not (resume and run):
        if resume:
            raise ConfigError("--resume continues which run? name its folder with --run, or the FILE that it reads")
        raise ConfigError("a text is needed: name a FILE, or train on the text that ships with CPython with --demo")


def _train(config: TextConfig, folder: RunFolder, resume: bool, overwrite: bool) -> Outcome:
    from elman.train.text import resume_text, train_text  # brings torch, which `elman --help` does not need

    with ProgressLine(folder.path.name) as progress:
        if resume:
            return resume_text(folder, given=config, listen=progress)
        return train_text(config, folder, overwrite=overwrite, listen=progress)


def _default_run(file: str | None, cell: str) -> Path:
    name = cell.rpartition(":")[2]
    return Path("runs") / f"{Path(file).stem if file else 'demo'}-{name}"
