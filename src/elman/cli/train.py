"""elman train"""

from __future__ import annotations

import json as json_
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import OmitArgPrefixes, Positional, Suppress, arg

from elman.cli.progress import ProgressLine, say
from elman.cli.status import ExitStatus
from elman.errors import ConfigError
from elman.train.config import Config
from elman.train.folder import RunFolder
from elman.train.reports import Outcome
from elman.train.settings import Settings


def text(
    file: Annotated[Positional[str | None], arg(metavar="FILE")] = None,
    given: Suppress[frozenset[str]] = frozenset(),
    *,
    demo: bool = False,
    run: Annotated[str | None, arg(metavar="FOLDER")] = None,
    resume: bool = False,
    overwrite: bool = False,
    json: bool = False,
    settings: Annotated[OmitArgPrefixes[Settings], arg(name="")] = Settings(),  # noqa: B008 (frozen)
) -> int:
    """Train a language model on a text: it learns to predict the next character from all before it.

    The run's folder holds config.toml, metrics.jsonl, checkpoint.safetensors and, from the best validation so far,
    model.safetensors. Ctrl-C leaves a run that --resume continues as if nothing had happened.

    Args:
        file: text in UTF-8, or any file with --bytes.
        given: no option: the settings that the command line names.
        demo: train on the text that ships with every CPython.
        run: the run's folder; by default runs/ with the names of the file and the cell.
        resume: continue the run in that folder, with the settings it has; its length may be given anew.
        overwrite: begin anew in a folder that holds a run.
        json: print the outcome as JSON.
        settings: what can be chosen.
    """
    _check_choices(file, demo, run, resume, overwrite)
    folder = RunFolder(_default_run(file, settings.network.cell) if run is None else run)
    config = Config(task="text", source=file, **{part: getattr(settings, part) for part in settings.__struct_fields__})
    chosen = {name: value for name, value in config.by_name().items() if name in given}
    if file is not None or demo:
        chosen["source"] = file
    outcome = _train(config, folder, chosen if resume else None, overwrite)
    if json:
        print(json_.dumps(outcome.to_json()))
    else:
        _show(outcome, folder)
    return ExitStatus.OK


def _show(outcome: Outcome, folder: RunFolder) -> None:
    (name, value), *_ = outcome.measures.items()
    print(
        f"{outcome.cell} {outcome.hidden}, {outcome.parameters:,} parameters: "
        f"{value:.3f} {name.replace('_', ' ')} on the held-out part, "
        f"after {outcome.step_of_best:,} of {outcome.steps:,} steps"
    )
    say(f"{folder.model} is written; try: elman sample {folder.path}")


def _check_choices(file: str | None, demo: bool, run: str | None, resume: bool, overwrite: bool) -> None:
    """Raise ConfigError where the options contradict one another, or say too little."""
    if file == "":
        raise ConfigError("the name of FILE is empty: is a variable unset? to train on CPython's text, say --demo")
    if file is not None and demo:
        raise ConfigError(f"--demo brings its own text; leave out {file}, or --demo")
    if resume and overwrite:
        raise ConfigError("--resume continues a run and --overwrite begins anew: choose one")
    if file is None and not demo and not (resume and run is not None):
        if resume:
            raise ConfigError("--resume continues which run? name its folder with --run, or the FILE that it reads")
        raise ConfigError("a text is needed: name a FILE, or train on the text that ships with CPython with --demo")


def _train(config: Config, folder: RunFolder, given: dict[str, Any] | None, overwrite: bool) -> Outcome:
    """Begin a run, or go on with it where settings are `given` anew."""
    from elman.train.run import resume, train  # brings torch, which `elman --help` does not need

    with ProgressLine(folder.path.name) as progress:
        if given is not None:
            return resume(folder, given=given, listen=progress, tell=say)
        return train(config, folder, overwrite=overwrite, listen=progress)


def _default_run(file: str | None, cell: str) -> Path:
    name = cell.rpartition(":")[2]
    return Path("runs") / f"{Path(file).stem if file else 'demo'}-{name}"
