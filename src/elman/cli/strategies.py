"""`elman sample --compare`: every strategy on one prompt, side by side."""

from __future__ import annotations

import json as json_
import math
from typing import Any

from rich.console import Console
from rich.table import Table

from elman.cli.sample_settings import LENGTHS, SampleSettings
from elman.cli.status import ExitStatus
from elman.decode import ModelStepper, Output, Result, decode
from elman.decode.options import Strategy

STRATEGIES: tuple[Strategy, ...] = ("greedy", "sample", "beam", "exact")


def show(stepper: ModelStepper, prompt: str, settings: SampleSettings, json: bool) -> int:
    """Print what each strategy makes of the prompt, and where a beam leaves greedy's path."""
    length = LENGTHS["exact"] if settings.search.length is None else settings.search.length
    plain = settings.replaced(length=length, count=1)
    found = {name: decode(stepper, [prompt], plain.with_strategy(name).options())[0] for name in STRATEGIES}
    if json:
        print(json_.dumps({"prompt": prompt, "length": length} | {name: _facts(found[name]) for name in STRATEGIES}))
        return ExitStatus.OK
    table = Table("strategy", "log p", "bits each", "steps", "ended by", "text", title=f"after {prompt!r}")
    for name, result in found.items():
        best = result.best
        bits = -best.log_probability / math.log(2) / max(1, len(best.tokens))
        proof = {None: "", True: " (proved)", False: " (not proved)"}[result.proved]
        figures = (f"{best.log_probability:.3f}", f"{bits:.3f}", f"{result.steps:,}", best.reason.value)
        table.add_row(name + proof, *figures, repr(best.text))
    console = Console()
    console.print(table, markup=False)
    for name in ("beam", "exact"):
        console.print(_difference(stepper, name, found["greedy"].best, found[name].best), markup=False, highlight=False)
    return ExitStatus.OK


def _facts(result: Result) -> dict[str, Any]:
    return result.best.to_json() | {"steps": result.steps, "proved": result.proved}


def _difference(stepper: ModelStepper, name: str, greedy: Output, other: Output) -> str:
    """What a search found that greedy missed, in a sentence."""
    mine, theirs = greedy.tokens.tolist(), other.tokens.tolist()
    if mine == theirs:
        return f"{name} found nothing likelier than greedy."
    assert stepper.spelling is not None
    place = next((k for k, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs)))
    ratio = math.exp(min(other.log_probability - greedy.log_probability, 700.0))
    sentence = f"{name} found a text {ratio:.3g} times as likely as greedy's."
    if place >= min(len(mine), len(theirs)):
        return f"{sentence} One begins with the other."
    taken, left = (stepper.spelling.text([each[place]]) for each in (mine, theirs))
    chances = [math.exp(each.log_probabilities[place]) for each in (greedy, other)]
    after = stepper.spelling.text(mine[:place])
    return (
        f"{sentence} They part after {after!r}: greedy takes {taken!r} (p {chances[0]:.3f}), "
        f"{name} takes {left!r} (p {chances[1]:.3f}) and gains it back later."
    )
