"""elman sample"""

from __future__ import annotations

import json as json_
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from tyro.conf import OmitArgPrefixes, Positional, arg

from elman.cli import strategies
from elman.cli.progress import say
from elman.cli.sample_settings import SampleSettings
from elman.cli.status import ExitStatus
from elman.cli.targets import check_target
from elman.data.vocabulary import Vocabulary
from elman.decode import Decoding, ModelStepper, Options, Result, Spelling
from elman.decode.text_stream import TextStream
from elman.errors import ConfigError
from elman.formats.atomic import atomic_write
from elman.runtime import Model, load


def sample(
    run: Annotated[Positional[Path], arg(metavar="RUN")],
    *,
    prompt: str | None = None,
    compare: bool = False,
    tree: bool = False,
    svg: Path | None = None,
    json: bool = False,
    threads: int = 0,
    settings: Annotated[OmitArgPrefixes[SampleSettings], arg(name="")] = SampleSettings(),  # noqa: B008 (frozen)
) -> int:
    """Let a trained model write, character by character; without torch.

    Args:
        run: the folder of a run, or a model file.
        prompt: what the model goes on from; by default a line's end.
        compare: show what every strategy makes of the prompt, side by side, and what a beam finds that greedy misses.
        tree: with a beam, print the tree of its hypotheses.
        svg: with a beam, write the tree to this file as a picture.
        json: print prompt, outputs and settings as JSON.
        threads: that a step may take; 0: one, or where the step is worth it ELMAN_NUM_THREADS or the machine's cores.
        settings: what can be chosen.
    """
    _check_choices(compare, tree, svg, settings)
    model, vocabulary = _loaded(run)
    stepper = ModelStepper(model, threads)
    begin = first_prompt(vocabulary) if prompt is None else prompt
    if compare:
        with _telling():
            return strategies.show(stepper, begin, settings, json)
    options = settings.options(keep_tree=tree or svg is not None or (json and settings.search.strategy == "beam"))
    with _telling():
        decoding = Decoding(stepper, [begin], options)
    if json:
        result = decoding.results()[0]
        print(json_.dumps(_facts(result, options, {"cell": model.cell, "prompt": begin})))
    else:
        result = _write(decoding, prompt or "", Spelling.of(vocabulary), options)
    _show_tree(result, tree and not json, svg)
    return ExitStatus.OK


@contextmanager
def _telling() -> Iterator[None]:
    """What the library warns of becomes talk, each thing once."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        yield
    for message in dict.fromkeys(str(each.message) for each in told if issubclass(each.category, UserWarning)):
        say(message)


def _loaded(run: Path) -> tuple[Model, Vocabulary]:
    """The model and its vocabulary; ConfigError where it has none."""
    model = load(run)
    if model.vocabulary is None:
        raise ConfigError(f"{run}: this model has no vocabulary, so it cannot write text")
    return model, model.vocabulary


def _check_choices(compare: bool, tree: bool, svg: Path | None, settings: SampleSettings) -> None:
    """Raise ConfigError where the options contradict one another, or the picture cannot be written."""
    check_target("--svg", svg)
    tree |= svg is not None
    if compare and tree:
        raise ConfigError("--compare shows strategies, --tree and --svg show one beam: leave one of them out")
    if tree and settings.search.strategy != "beam":
        raise ConfigError("--tree and --svg show the hypotheses of a beam: add --strategy beam")
    if settings.search.length is not None and settings.search.length < 0:
        raise ConfigError(f"--length must be at least 0, got {settings.search.length}")


def first_prompt(vocabulary: Vocabulary) -> str:
    """What to begin with where nothing is said: a line's end, or failing that the first symbol."""
    newline = vocabulary.kind == "bytes" or "\n" in vocabulary.symbols
    return "\n" if newline else vocabulary.symbols[0]


def _write(decoding: Decoding, prompt: str, spelling: Spelling, options: Options) -> Result:
    """Write a single output as it is decided, several one after another with their probabilities."""
    if options.count > 1:
        result = decoding.results()[0]
        for number, output in enumerate(result.outputs, 1):
            say(f"{number}: log p {output.log_probability:.3f}, {output.reason.value}")
            print(f"{prompt}{output.text}")
        return result
    stream = TextStream(spelling, options)
    sys.stdout.write(prompt)
    for decided in decoding:
        sys.stdout.write(stream.push(decided.tokens.tolist()))
        sys.stdout.flush()
    result = decoding.results()[0]
    sys.stdout.write(stream.end(result.best.text or "") + "\n")
    if result.proved is not None:
        say("no sequence is likelier" if result.proved else f"the budget of {options.budget} steps has not proved it")
    if not result.best.finished:
        say(f"it ended unfinished: {result.best.reason.value}")
    return result


def _facts(result: Result, options: Options, about: dict[str, Any]) -> dict[str, Any]:
    settings = {"strategy": options.strategy, "temperature": options.temperature, "seed": options.seed}
    outputs = [output.to_json() for output in result.outputs]
    found = about | settings | {"text": result.best.text, "outputs": outputs, "steps": result.steps}
    if result.proved is not None:
        found |= {"proved": result.proved, "upper": result.upper}
    if result.tree is not None:
        found["tree"] = result.tree.to_json()
    return found


def _show_tree(result: Result, as_text: bool, svg: Path | None) -> None:
    if result.tree is None:
        return
    if as_text:
        Console(soft_wrap=True).print(result.tree.to_text(), markup=False, highlight=False)
    if svg is not None:
        with atomic_write(svg) as file:
            file.write((result.tree.to_svg() + "\n").encode())
