"""Every suite at tiny sizes: the sides compute the same, and operations are counted right."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import elman.nn
from elman import cells
from elman.bench import contest, decoding, layers, peers, run, single_steps
from elman.bench.rows import Case, Row
from elman.bench.sweep import Sweep
from elman.decode import Regex
from elman.equations import evaluate
from elman.errors import ConfigError
from elman.kernels import default_threads
from elman.nn.paths.choice import Path
from tests.bench.cases import CEILINGS, case

ONNX = ["onnxruntime"] if find_spec("onnxruntime") and find_spec("onnx") else []
SMALL = Sweep(hidden=(7,), batch=(3,), steps=5, peers=("torch", *ONNX), seconds=1e-9, least=1)


def measured(suite: str, options: Sweep) -> dict[Case, list[Row]]:
    """The rows of each case of a suite; none may be refused."""
    found = {case: list(run.measure(case, options, CEILINGS)) for case in run.cases([suite], options)}
    assert [row.refused for rows in found.values() for row in rows if row.refused] == []
    return found


def peers_of(rows: list[Row]) -> set[str]:
    return {row.peer for row in rows}


def test_layers_agree_with_their_peers() -> None:
    found = measured("layers", SMALL)
    assert {(case.cell, case.mode) for case in found} == {
        (c, m) for c in ("lstm", "gru", "elman") for m in ("infer", "train")
    }
    for of, rows in found.items():
        assert peers_of(rows) == ({"torch", *ONNX} if of.mode == "infer" else {"torch"})
        assert all(row.ratio and row.fraction_of_peak and row.rows == 15 for row in rows)


def test_ragged_agrees_padded_and_packed() -> None:
    ((_, rows),) = measured("ragged", replace(SMALL, steps=9)).items()
    assert peers_of(rows) == {"elman dense", "torch padded", "torch packed"}
    steps = {row.rows for row in rows}
    assert len(steps) == 1
    assert 3 * 5 <= steps.pop() <= 3 * 9


def test_users_cells_agree_with_eager_torch() -> None:
    found = measured("cells", SMALL)
    assert {case.cell for case in found} == {"my_layer_norm_lstm", "layer_norm_lstm"}
    assert all(peers_of(rows) == {"torch", "torch tuned"} for rows in found.values())


def test_single_steps_agree_in_a_sequence_and_in_a_stream() -> None:
    found = measured("steps", replace(SMALL, batch=(1,)))
    assert {(case.mode, case.steps) for case in found} == {("infer", 5), ("stream", 1)}
    assert all(peers_of(rows) == {"torch", *ONNX} for rows in found.values())
    assert all(row.fraction_of_bandwidth for rows in found.values() for row in rows)


def test_text_models_agree() -> None:
    found = measured("text", SMALL)
    assert [case.cell for case in found] == ["lstm", "gru", "elman"]
    assert all(peers_of(rows) == {"torch"} for rows in found.values())


def test_long_sequences_agree_with_plain_training() -> None:
    found = measured("long", replace(SMALL, steps=50))
    assert [case.cell for case in found] == ["lstm", "gru", "elman"]
    assert all(peers_of(rows) == {"elman plain"} for rows in found.values())


def test_losses_agree() -> None:
    found = measured("loss", SMALL)
    assert len(found) == 3
    assert all(peers_of(rows) == {"torch"} for rows in found.values())


def test_decoding_agrees_with_steps_and_with_a_torch_loop() -> None:
    found = measured("decode", replace(SMALL, batch=()))
    for of, rows in found.items():
        assert len(peers_of(rows)) == (2 if of.cell == "greedy" else 1)
        assert all(row.fraction_of_peak and bool(row.fraction_of_bandwidth) == (of.batch == 1) for row in rows)
    assert {(of.cell, of.batch, rows[0].rows) for of, rows in found.items()} >= {("beam 8", 1, 40), ("greedy", 64, 320)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"stop_strings": tuple("etaoin ")}, "came to an end"), ({"constraints": (Regex("[^a-z]+"),)}, "its constraint")],
)
def test_texts_that_are_not_what_they_should_be_get_no_time(
    change: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(decoding.WAYS, "regex", decoding.Way({"strategy": "sample", **change}))
    (of,) = [case for case in run.cases(["decode"], replace(SMALL, batch=(), steps=60)) if case.cell == "regex"]
    (row,) = run.measure(of, SMALL, CEILINGS)
    assert row.ratio is None
    assert reason in (row.refused or "")


def test_streams_run_on_the_threads_of_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(single_steps, "prepare", lambda case, peers: seen.append(default_threads()) or refuse())
    monkeypatch.delenv("ELMAN_NUM_THREADS", raising=False)
    for named in (None, "1"):
        if named:
            monkeypatch.setenv("ELMAN_NUM_THREADS", named)
        before = default_threads()
        for _ in run.measure(case(suite="steps", mode="stream", threads=3), SMALL, CEILINGS):
            assert default_threads() == 3
        assert default_threads() == before
    assert seen == [3, 3]


def refuse() -> contest.Contest:
    raise contest.NoContest("not now")


@pytest.mark.parametrize("suite", run.SUITES)
def test_a_wrong_result_of_ours_is_never_timed(suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were every result off by a thousandth, no peer would be compared with by time."""
    honest = contest.difference
    monkeypatch.setattr(
        contest, "difference", lambda ours, theirs: honest({n: a * 1.001 for n, a in ours.items()}, theirs)
    )
    options = replace(SMALL, modes=("infer", "train"), batch=(1,))
    for row in (row for of in run.cases([suite], options) for row in run.measure(of, options, CEILINGS)):
        assert (row.ratio is None and "differ" in (row.refused or "")) or row.peer == "elman dense"


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
@pytest.mark.parametrize("mode", ["infer", "train"])
def test_operations_are_those_of_the_equations(cell: str, mode: str) -> None:
    """Counted while the evaluator computes; a lone step is a batch of one."""
    graph, sizes, steps = cells.get(cell).graph, {"D": 4, "H": 6}, 3

    def drawn(shape: tuple[str, ...]) -> torch.Tensor:
        return torch.randn([sizes[letter] for letter in shape], requires_grad=True)

    parameters = {p.name: drawn(p.shape) for p in graph.parameters}
    states, outputs = {port.name: drawn((port.size,))[None] for port in graph.states}, []
    with FlopCounterMode(display=False) as counter:
        for _ in range(steps):
            output, states = evaluate.run(graph, torch, {"x": torch.randn(1, 4)}, states, parameters)
            outputs.append(output)
        if mode == "train":
            torch.stack(outputs).sum().backward()
    assert counter.get_total_flops() == layers.operations(case(cell=cell, hidden_size=6), mode, 4, steps)


def test_tokens_cost_no_product_of_the_input() -> None:
    of = case(cell="lstm", hidden_size=10)
    assert layers.operations(of, "infer", 0, 3) == 2 * 3 * 40 * 10
    assert layers.operations(of, "train", 0, 3) == 3 * 2 * 3 * 40 * 10


@pytest.mark.parametrize(("size", "batch", "steps"), [(32, 1, 100), (512, 32, 59), (1024, 128, 20)])
def test_large_cases_get_fewer_steps(size: int, batch: int, steps: int) -> None:
    """8e9 operations at most: 2 · B · 4 H · 2 H each step of an LSTM, and 20 steps at least."""
    assert layers.steps_for(case(hidden_size=size, batch=batch), quick=False) == steps


def test_axes_are_the_suites_own_where_none_are_given() -> None:
    found = layers.cases(Sweep(threads=(1, 2)))
    assert {case.hidden_size for case in found} == {32, 64, 128, 256, 512, 1024}
    assert {case.batch for case in found} >= {1, 128}
    assert {case.threads for case in found} == {1, 2}
    assert len(set(found)) == len(found)


def test_axes_that_are_given_hold_for_every_suite() -> None:
    asked = Sweep(cells=("gru",), modes=("infer",), hidden=(5,), batch=(2,), steps=4, threads=(1,))
    for suite in ("layers", "steps"):
        (found,) = run.cases([suite], asked)
        assert found == case(suite=suite, cell="gru", mode="infer", hidden_size=5, batch=2, steps=4)
    assert run.cases(["ragged", "cells", "text", "long", "loss"], asked) == []  # these train


def test_cases_come_by_number_of_threads() -> None:
    threads = [case.threads for case in run.cases(["layers", "text"], Sweep(threads=(2, 1)))]
    assert threads == sorted(threads, reverse=True)


def test_quick_is_less() -> None:
    for suite in run.SUITES:
        quick, whole = (len(run.cases([suite], Sweep(quick=quick))) for quick in (True, False))
        assert 0 < quick <= whole


def test_the_number_of_threads_is_restored() -> None:
    before = torch.get_num_threads()
    asked = replace(SMALL, threads=(before + 1,), cells=("elman",), modes=("train",))
    (only,) = run.cases(["layers"], asked)
    for _ in run.measure(only, asked, CEILINGS):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_what_ours_cannot_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference path is no kernel: it gets no time."""
    monkeypatch.setattr(elman.nn.LSTM, "path", lambda self, x: Path("reference", "told to"))
    (row,) = run.measure(case(hidden_size=4, batch=2, steps=3), SMALL, CEILINGS)
    assert (row.peer, row.ratio, row.refused) == ("", None, "takes the reference: told to")


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
@pytest.mark.parametrize("mode", ["infer", "train"])
def test_bfloat16_is_compared_with_torchs_and_with_our_float32(cell: str, mode: str) -> None:
    """Its results agree with both, and its share is one of the peak in bfloat16."""
    options = replace(SMALL, cells=(cell,), modes=(mode,), dtypes=("bfloat16",))
    (of,) = run.cases(["layers"], options)
    ceilings = replace(CEILINGS, compute={"float32": {1: 1.0}, "bfloat16": {1: 100.0}})
    rows = list(run.measure(of, options, ceilings))
    assert [(row.peer, row.dtype, row.refused) for row in rows] == [
        ("torch", "bfloat16", None),
        ("elman float32", "bfloat16", None),
    ]
    for row in rows:
        assert row.seconds
        work = layers.operations(of, mode, of.hidden_size, of.steps * of.batch)
        assert row.fraction_of_peak == pytest.approx(work / row.seconds / 100.0)
    assert rows[1].difference  # none at all would be float32 twice


def test_bfloat16_is_measured_at_large_sizes_where_none_are_given() -> None:
    found = layers.cases(Sweep(dtypes=("bfloat16",)))
    assert {(case.hidden_size, case.batch) for case in found} == {(h, b) for h in (256, 512, 1024) for b in (32, 128)}
    assert {case.mode for case in found} == {"infer", "train"}
    assert {case.dtype for case in found} == {"bfloat16"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"hidden": (0,)}, "`hidden` must be at least 1, got 0"),
        ({"batch": (4, -1)}, "`batch` must be at least 1, got -1"),
        ({"threads": (0,)}, "`threads` must be at least 1, got 0"),
        ({"steps": -1}, "`steps` must be at least 1, or 0 for each suite's own, got -1"),
        ({"seconds": 0.0}, "`seconds` must be above 0 and finite, got 0.0"),
        ({"seconds": float("nan")}, "`seconds` must be above 0 and finite, got nan"),
    ],
)
def test_bad_options_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Sweep(**given)
    assert str(error.value) == message


def test_peers_are_those_installed_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name in ("torch", "onnxruntime", "onnx"):
            return f"{name} 1"
        raise PackageNotFoundError(name)

    monkeypatch.setattr(peers, "version", version)
    everything = {"torch": "torch 1", "torch.compile": "torch 1", "onnxruntime": "onnxruntime 1"}
    assert peers.choose(()) == everything
    assert peers.choose(("onnxruntime",)) == {"onnxruntime": "onnxruntime 1"}
    with pytest.raises(ConfigError, match=r"^`peers`: jax is not installed: pip install jax$"):
        peers.choose(("torch", "jax"))
    with pytest.raises(ConfigError, match=r"^`peers`: keras is not known; choose from torch, torch.compile, onnx"):
        peers.choose(("keras",))


def test_a_peer_without_one_of_its_packages_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "onnx":
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr(peers, "version", version)
    assert "onnxruntime" not in peers.choose(())
