"""Who errs in kind is told what was expected: no public callable lets out messages of Python's or numpy's internals."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest

from elman.codec import compress as codec
from elman.decode import (
    Allowed,
    CallableStepper,
    Decoding,
    Fusion,
    Grammar,
    Infix,
    Lexicon,
    ModelStepper,
    Options,
    Prefix,
    Rank,
    Regex,
    Scorer,
    Spelling,
    TableStepper,
    TextStream,
    UserRank,
    decode,
    sample,
    score,
)  # fmt: skip
from elman.decode.scoring import bits_per_token
from elman.errors import ElmanError
from elman.runtime import Model, load
from elman.state import State
from tests.decode.small import markov, model_file

WRONG = [
    None, True, "a", "", b"a", -1, 0, 0.5, 10**400, float("nan"), float("inf"), 1j, object(), [], [None], ["a"], [0.5],
    [[1], [1, 2]], (), {}, {"a": "b"}, {1: None}, set(), lambda *_: None, np.array("a"), np.zeros(3),
    np.zeros((2, 2, 2)), np.array([np.nan]), np.array([None]), np.array([-1]), np.datetime64(0, "s"), range(3),
    slice("a"),
]  # fmt: skip

SPELLING = Spelling.of("abcdef")
MODEL = Model(model_file(("gru",)))
FLOATS = Model(model_file(("gru",)))
STATE = State({"h": np.zeros((1, 2, 3))})


def stepped(stepper: Any) -> Any:
    return stepper.step(np.array([0, 1]), stepper.start(2))[1]


def set_state(state: Any) -> None:
    MODEL.stream().state = state


def own(**given: Any) -> Any:
    """A stepper that inherits from nothing."""
    found = type("Own", (), {})()
    for name, part in ({"size": 6, "start": markov(6, 0).start, "step": markov(6, 0).step} | given).items():
        setattr(found, name, part)
    return found


def ranked(**given: Any) -> Any:
    options = Options(strategy="beam", width=2, max_length=3, early="never", ranker=UserRank(**given))
    return decode(markov(6, 0), [[0]], options)


def constrained(kind: Any) -> Callable[..., Any]:
    return lambda part: decode(markov(6, 0), ["a"], Options(max_length=6, constraints=(kind(part),)))


# What can be called, with arguments that will do.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "load": (load, {"path": "nowhere"}),
    "Model": (Model, {"file": MODEL.file}),
    "Model.stream": (MODEL.stream, {"batch": 2, "reference": False, "threads": 0}),
    "Stream.step": (lambda x: MODEL.stream().step(x), {"x": 1}),
    "Stream.step of 2": (lambda x: MODEL.stream(2).step(x), {"x": [1, 2]}),
    "Stream.state": (set_state, {"state": MODEL.stream().state}),
    "ModelStepper": (ModelStepper, {"model": MODEL, "threads": 1}),
    "ModelStepper.start": (ModelStepper(MODEL).start, {"batch": 2}),
    "ModelStepper.step": (
        ModelStepper(MODEL).step, {"tokens": np.zeros(2, int), "state": stepped(ModelStepper(MODEL))},
    ),
    "ModelStepper.logits": (ModelStepper(MODEL).logits, {"tokens": [1], "state": ModelStepper(MODEL).start(1)}),
    "TableStepper": (TableStepper, {"probabilities": np.full((6, 6), 1 / 6), "spelling": SPELLING}),
    "TableStepper.start": (markov(6, 0).start, {"batch": 2}),
    "TableStepper.step": (markov(6, 0).step, {"tokens": np.zeros(2, int), "state": stepped(markov(6, 0))}),
    "CallableStepper": (
        lambda **given: decode(CallableStepper(**given), [[0]], Options(max_length=2)),
        {"function": lambda t, s: (np.zeros((len(t), 6)), s), "size": 6, "start": lambda batch: None, "normalise": True,
         "spelling": SPELLING, "begin": 0},
    ),
    "CallableStepper's function": (
        lambda scores, state: decode(CallableStepper(lambda t, s: (scores, state), 2), [[0]], Options(max_length=2)),
        {"scores": np.log([[0.5, 0.5]]), "state": None},
    ),
    "Fusion": (Fusion, {"main": markov(6, 0), "other": markov(6, 1), "weight": 0.5}),
    "Fusion.step": (Fusion(markov(6, 0), markov(6, 1), 1).step,
                    {"tokens": np.zeros(2, int), "state": stepped(Fusion(markov(6, 0), markov(6, 1), 1))}),
    "a stepper of one's own": (
        lambda **given: decode(own(**given), [[0]], Options(max_length=2)),
        {"size": 6, "start": markov(6, 0).start, "step": markov(6, 0).step, "spelling": None, "begin": 0},
    ),
    "Decoding": (Decoding, {"stepper": markov(6, 0), "prompts": ["ab"], "options": Options(), "spelling": SPELLING}),
    "decode": (decode, {"stepper": markov(6, 0), "prompts": [[0], "ab"], "options": Options(), "spelling": SPELLING}),
    "a prompt": (lambda prompt: decode(markov(6, 0), [prompt], Options(max_length=2)), {"prompt": [1]}),
    "sample": (
        lambda **given: list(islice(sample(**given), 3)),
        {"stepper": markov(6, 0), "prompt": "a", "length": 2, "temperature": 1.0, "seed": 0},
    ),
    "Options": (Options, {name: field.default for name, field in Options.__dataclass_fields__.items()}
                | {"bias": {}, "ranker": Rank()}),
    "Rank": (Rank, {"alpha": 0.5, "bonus": 0.0, "bonus_tokens": (), "coverage": 0.0, "attention": None, "offset": 5.0}),
    "UserRank": (UserRank, {"function": lambda total, tokens: total, "upper": None}),
    "UserRank's function": (lambda value: ranked(function=lambda total, tokens: value), {"value": 1.0}),
    "Scorer": (Scorer, {"stepper": markov(6, 0)}),
    "Scorer.feed": (Scorer(markov(6, 0)).feed, {"tokens": [0, 1]}),
    "score": (score, {"stepper": markov(6, 0), "tokens": [0, 1], "streams": 1}),
    "bits_per_token": (bits_per_token, {"log_probabilities": np.array([-1.0])}),
    "Spelling": (Spelling, {"texts": ("a", "b"), "vocabulary": None}),
    "Spelling.of": (Spelling.of, {"source": "ab"}),
    "Spelling.encode": (SPELLING.encode, {"text": "ab", "unknown": "replace", "replacement": "a"}),
    "Spelling.text": (SPELLING.text, {"tokens": [0]}),
    "Spelling.decoder": (lambda before: Spelling.of([b"a"]).decoder(before), {"before": [0]}),
    "TextStream": (TextStream, {"spelling": SPELLING, "options": Options(), "before": [0]}),
    "TextStream.push": (TextStream(SPELLING, Options()).push, {"tokens": [0]}),
    "TextStream.end": (TextStream(SPELLING, Options()).end, {"text": "a"}),
    "Regex": (Regex, {"expression": "a*"}),
    "Grammar": (Grammar, {"source": 's ::= "a"'}),
    "Lexicon": (Lexicon, {"words": ("a",), "separator": " "}),
    "Prefix": (constrained(Prefix), {"part": "a"}),
    "Infix": (constrained(Infix), {"part": "a"}),
    "Allowed": (constrained(Allowed), {"part": "a"}),
    "State": (State, {"arrays": {"h": np.zeros((1, 2, 3))}, "axis": 1, "start": {"h": 1.0}}),
    "State of": (lambda array: State({"h": array}), {"array": np.zeros((1, 2, 3))}),
    "State.select": (STATE.select, {"indices": [0]}),
    "State.reset": (STATE.reset, {"where": [0], "start": {"h": 0.0}}),
    "State.reset to": (lambda value: STATE.reset([0], {"h": value}), {"value": 0.0}),
    "State.save": (STATE.save, {"path": "nowhere/at/all"}),
    "State.load": (State.load, {"path": "nowhere"}),
    "State.from_bytes": (State.from_bytes, {"data": STATE.to_bytes()}),
    "compress": (
        codec.compress, {"model": MODEL, "data": b"abc", "file": io.BytesIO(), "progress": None, "threads": 1},
    ),
    "decompress": (
        codec.decompress, {"model": MODEL, "data": b"abc", "source": "x", "progress": None, "threads": 1},
    ),
    "fingerprint": (codec.fingerprint, {"model": MODEL}),
}  # fmt: skip

CASES = [(name, argument) for name, (_, arguments) in CALLS.items() for argument in arguments]


@pytest.mark.parametrize(("name", "argument"), [pytest.param(*case, id=" ".join(case)) for case in CASES])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_wrong_kind_is_told(name: str, argument: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each argument in turn becomes everything that it might be by mistake; some of it may do."""
    monkeypatch.chdir(tmp_path)
    call, arguments = CALLS[name]
    for wrong in WRONG:
        try:
            call(**(arguments | {argument: wrong}))
        except (ElmanError, OSError):
            continue
        except Exception as error:
            pytest.fail(f"{name}({argument}={wrong!r}): {type(error).__name__}: {error}")
