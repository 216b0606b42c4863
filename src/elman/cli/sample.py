"""elman sample"""

from __future__ import annotations

import json as json_
import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from elman.cli.status import ExitStatus
from elman.decode import sample as draw
from elman.errors import ConfigError
from elman.runtime import load
from elman.sequences.vocabulary import Vocabulary


def sample(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    *,
    prompt: str | None = None,
    length: int = 1000,
    temperature: float = 0.7,
    seed: int = 0,
    json: bool = False,
) -> int:
    """Let a trained model write, character by character; without torch.

    Args:
        run: the folder of a run, or a model file.
        prompt: what the model goes on from; by default a line's end.
        length: characters to write.
        temperature: below 1 plainer, above 1 wilder, 0 always the likeliest.
        seed: the same seed writes the same text.
        json: print prompt, text and settings as one JSON object.
    """
    model = load(run)
    vocabulary = model.vocabulary
    if vocabulary is None:
        raise ConfigError(f"{run}: this model has no vocabulary, so it cannot write text")
    begin = first_prompt(vocabulary) if prompt is None else prompt
    tokens = draw(model.stream(), vocabulary.encode(begin).tolist(), length, temperature, seed)
    if json:
        settings = {"cell": model.cell, "prompt": begin, "temperature": temperature, "seed": seed}
        print(json_.dumps(settings | {"text": vocabulary.decode(list(tokens))}))
        return ExitStatus.OK
    decode = vocabulary.decoder()
    sys.stdout.write(prompt or "")
    for token in tokens:
        sys.stdout.write(decode([token]))
        sys.stdout.flush()
    sys.stdout.write(decode([], True) + "\n")
    return ExitStatus.OK


def first_prompt(vocabulary: Vocabulary) -> str:
    """What to begin with where nothing is said: a line's end, or failing that the first symbol."""
    newline = vocabulary.kind == "bytes" or "\n" in vocabulary.symbols
    return "\n" if newline else vocabulary.symbols[0]
