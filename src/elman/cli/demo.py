"""elman demo"""

from __future__ import annotations

import json as json_
import math
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from elman.baselines.ngram import NGram
from elman.cli.progress import ProgressLine, say
from elman.cli.status import ExitStatus
from elman.compare import curves
from elman.compare.novelty import known_words, longest_copy
from elman.data import readers, splits
from elman.data.dataset import Dataset
from elman.data.demo_text import demo_text
from elman.decode import ModelStepper
from elman.decode import sample as draw
from elman.errors import ConfigError
from elman.runtime import load
from elman.train.config import Config
from elman.train.folder import RunFolder
from elman.train.reports import Outcome
from elman.train.stopping import Stopped

PARAMETERS = 400_000
LEARNING_RATES = {"elman": 3e-3, "gru": 5e-3, "lstm": 8e-3}  # the best of a few tried for each
DROPOUT = 0.4  # the text is read a dozen times in a minute
ORDERS = (1, 3, 5)
PROMPT = "The "
LENGTH = 2000
MEASURE = "bits_per_character"


def demo(
    *,
    run: Path = Path("runs/demo"),
    seconds: float = 60.0,
    temperature: float = 0.6,
    seed: int = 0,
    json: bool = False,
) -> int:
    """Train Elman, GRU and LSTM of equal size side by side with n-grams, on the text that ships with every CPython.

    Shows their figures in one table and their learning curves, and lets the best of them write.

    Args:
        run: the folder for the three runs and curves.png; runs of an earlier demo in it are replaced.
        seconds: training time of each network.
        temperature: of the sample.
        seed: of the weights and of the sample.
        json: print the figures as JSON.
    """
    settings = _settings(seconds, temperature, seed)
    training, held_out = _text(settings)
    outcomes = [_train(name, settings, training, run) for name in LEARNING_RATES]
    counted = _ngrams(training, held_out)
    lines = [curves.read_curve(outcome.cell, RunFolder(outcome.run).metrics) for outcome in outcomes]
    picture = _draw(run / "curves.png", lines, counted)
    if not json:
        _show(outcomes, counted, lines)
    best = min(outcomes, key=lambda outcome: outcome.measures[MEASURE])
    text = _sample(best, temperature, seed, quiet=json)
    figures = _figures(text)
    if json:
        networks = [outcome.to_json() for outcome in outcomes]
        print(json_.dumps({"networks": networks, "ngrams": counted, "curves": picture, "sample": text, **figures}))
    else:
        _show_figures(figures)
        say(f"the runs: {run}; the curves: {picture or 'need matplotlib: pip install elman[figures]'}")
    return ExitStatus.OK


def _settings(seconds: float, temperature: float, seed: int) -> Config:
    """What all networks share. Raises ConfigError for what would fail minutes later."""
    if not 0 < seconds < math.inf:
        raise ConfigError(f"--seconds must be above 0 and finite, got {seconds}")
    if not 0 <= temperature < math.inf:
        raise ConfigError(f"--temperature must be 0 or above and finite, got {temperature}")
    return Config.of("text", minutes=seconds / 60, dropout=DROPOUT, seed=seed, validations=20)


def _text(settings: Config) -> tuple[Dataset, Dataset]:
    """What is trained on, and what is held out."""
    data = readers.read(settings.source)
    training, held_out = splits.hold_out_end(data, settings.data.validation)
    say(
        f"the text: {data.steps:,} characters, {len(data.vocabularies['text'])} different; "
        f"the last {held_out.steps:,} are held out"
    )
    return training, held_out


def _train(name: str, settings: Config, data: Dataset, run: Path) -> Outcome:
    """One network of the common size."""
    from elman import cells, tasks
    from elman.models import Stack, hidden_size_for
    from elman.train.run import train

    task = tasks.get(settings.task).of(data)
    hidden = hidden_size_for(PARAMETERS, task.input.size, Stack(cells.get(name), 1), task.head)
    chosen = settings.replaced({"cell": name, "hidden": hidden, "learning_rate": LEARNING_RATES[name]})
    try:
        with ProgressLine(f"{name} {hidden}") as progress:
            return train(chosen, RunFolder(run / name), overwrite=True, listen=progress)
    except Stopped as stopped:
        raise Stopped("interrupted; the next demo begins anew", stopped.signal) from None


def _ngrams(training: Dataset, held_out: Dataset) -> dict[str, float]:
    """Bits per character of n-grams of the same training part, on what the networks are measured on."""
    model = NGram.fit(training.columns["text"].values, max(ORDERS), len(training.vocabularies["text"]))
    return {f"{order}-gram": model.bits_per_character(held_out.columns["text"].values, order) for order in ORDERS}


def _draw(path: Path, lines: list[curves.Curve], counted: dict[str, float]) -> str | None:
    try:
        curves.draw(path, lines, counted, f"Learning to predict the demo text, {PARAMETERS:,} parameters each")
    except ModuleNotFoundError:  # figures are an extra
        return None
    return str(path)


def _show(outcomes: list[Outcome], counted: dict[str, float], lines: list[curves.Curve]) -> None:
    table = Table("model", "hidden", "parameters", "steps", "tokens/s", "bits per character")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, bits in counted.items():
        table.add_row(name, "", "", "", "", f"{bits:.3f}")
    for o in outcomes:
        figures = (o.hidden, o.parameters, o.steps, round(o.tokens_per_second))
        table.add_row(o.cell, *(f"{figure:,}" for figure in figures), f"{o.measures[MEASURE]:.3f}")
    console = Console()
    console.print(table)
    console.print(curves.plot(lines) + "\n", markup=False, highlight=False)


def _sample(best: Outcome, temperature: float, seed: int, quiet: bool) -> str:
    """What the best network writes, shown as it is written; streamed without torch."""
    model = load(best.run)
    assert model.vocabulary is not None  # a language model has one
    prompt, decode, parts = model.vocabulary.encode(PROMPT).tolist(), model.vocabulary.decoder(), []
    if not quiet:
        print(f"{LENGTH:,} characters by the {best.cell}, at temperature {temperature:g}:\n\n{PROMPT}", end="")
    for token in draw(ModelStepper(model), prompt, LENGTH, temperature, seed):
        parts.append(decode([token]))
        if not quiet:
            sys.stdout.write(parts[-1])
            sys.stdout.flush()
    if not quiet:
        sys.stdout.write("\n")
    return "".join(parts)


def _figures(text: str) -> dict[str, Any]:
    """The share of a sample's words that occur in the whole text, and the length of the longest copied span."""
    whole = demo_text()
    return {"known_words": known_words(text, whole), "longest_copy": len(longest_copy(text, whole))}


def _show_figures(figures: dict[str, Any]) -> None:
    print(
        f"\n{figures['known_words']:.1%} of its words occur in the text; "
        f"the longest span copied from it has {figures['longest_copy']} characters."
    )
