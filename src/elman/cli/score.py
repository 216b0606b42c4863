"""elman score"""

from __future__ import annotations

import codecs
import json as json_
import math
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from rich.console import Console
from rich.text import Text
from tyro.conf import Positional, arg

from elman.cli.status import ExitStatus
from elman.decode import ModelStepper, Spelling
from elman.decode.roles import Floats, Integers
from elman.decode.scoring import bits_per_token, score
from elman.errors import ConfigError, DataError
from elman.runtime import load

_AROUND = 20  # tokens before a surprising spot that are shown with it
_SHADES = ((12.0, "bold white on red"), (8.0, "black on yellow"), (5.0, "yellow"))  # from so many bits on


def score_file(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    file: Annotated[Positional[Path], arg(metavar="FILE")],
    *,
    spots: int = 10,
    text: bool = False,
    streams: int = 1,
    unknown: Literal["error", "skip", "replace"] = "error",
    replacement: str = "?",
    json: bool = False,
    threads: int = 0,
) -> int:
    """Tell how well a trained model predicts a text: bits per character or byte, and what surprises it most.

    Args:
        run: the folder of a run, or a model file.
        file: text in UTF-8, or any file for a model of bytes.
        spots: how many of the most surprising spots to show.
        text: show the whole text, the more highlighted the more surprising.
        streams: stretches that are read side by side; faster, but each begins with no more than one character of past.
        unknown: what happens to characters that the model does not know.
        replacement: of those, where they are replaced.
        json: print the log-probability of every token as JSON.
        threads: that a step may take; 0: one, or where the step is worth it ELMAN_NUM_THREADS or the machine's cores.
    """
    model = load(run)
    if model.vocabulary is None:
        raise ConfigError(f"{run}: this model has no vocabulary, so it cannot read text")
    if spots < 0:
        raise ConfigError(f"--spots must be at least 0, got {spots}")
    stepper, spelling = ModelStepper(model, threads), Spelling.of(model.vocabulary)
    tokens = _read(file, spelling, unknown, replacement)
    found = score(stepper, tokens, streams)
    if json:
        print(json_.dumps(_facts(tokens, found)))
    else:
        _show(spelling, tokens, found, text, spots)
    return ExitStatus.OK


def _facts(tokens: Integers, found: Floats) -> dict[str, Any]:
    values = [None if math.isnan(value) else value for value in found.tolist()]
    return {"tokens": tokens.tolist(), "log_probabilities": values, "bits_per_token": bits_per_token(found)}


def _read(file: Path, spelling: Spelling, unknown: Literal["error", "skip", "replace"], replacement: str) -> Integers:
    data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    if spelling.is_bytes:
        tokens: Integers = np.frombuffer(data, np.uint8).astype(np.int64)
    else:
        try:
            tokens = spelling.encode(data.removeprefix(codecs.BOM_UTF8).decode(), unknown, replacement)
        except UnicodeDecodeError as error:
            place = error.start + len(data) - len(error.object)
            raise DataError(f"{file}: byte {place} is not UTF-8; a model of bytes reads any file") from None
    if len(tokens) < 2:
        raise DataError(f"{file}: at least two tokens are needed, one to begin with and one to predict")
    return tokens


def _show(spelling: Spelling, tokens: Integers, found: Floats, text: bool, spots: int) -> None:
    console = Console(soft_wrap=True)
    if text:
        console.print(_highlighted(spelling, tokens, found))
    _summary(console, spelling, tokens, found)
    for spot in _worst(found, spots):
        console.print(_spot(spelling, tokens, found, spot))


def _summary(console: Console, spelling: Spelling, tokens: Integers, found: Floats) -> None:
    unit, bits = "byte" if spelling.is_bytes else "character", bits_per_token(found)
    line = f"{len(tokens):,} {unit}s: {bits:.3f} bits per {unit}, log p {np.nansum(found):.3f}"
    console.print(line, highlight=False)


def _worst(found: Floats, count: int) -> list[int]:
    """The least likely tokens, in the order of the text."""
    values = np.where(np.isnan(found), np.inf, found)
    return sorted(np.argsort(values, kind="stable")[: min(count, len(values) - 1)].tolist())


def _spot(spelling: Spelling, tokens: Integers, found: Floats, place: int) -> Text:
    bits = float(-found[place] / math.log(2))
    before = spelling.text(tokens[max(0, place - _AROUND) : place])
    line = Text(f"{place:>9,} {bits:6.2f} bits  ")
    line.append(_visible(before))
    line.append(_visible(spelling.text(tokens[place : place + 1])), style=_style(bits) or "bold")
    return line.append(_visible(spelling.text(tokens[place + 1 : place + 1 + _AROUND // 2])), style="dim")


def _highlighted(spelling: Spelling, tokens: Integers, found: Floats) -> Text:
    """The text in shades; bytes that make a character together take the shade of the last."""
    shown, decode = Text(), spelling.decoder()
    for place, (token, value) in enumerate(zip(tokens.tolist(), found.tolist(), strict=True)):
        piece = decode([token], place == len(tokens) - 1)
        shown.append(piece, style=_style(0.0 if math.isnan(value) else -value / math.log(2)))
    return shown


def _style(bits: float) -> str:
    return next((style for least, style in _SHADES if bits >= least), "")


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
