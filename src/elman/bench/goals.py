"""What the figures are held against: for each group of cases a median and a least value, by cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from elman.bench.judge import ANY, Goal, RatioLimits
from elman.bench.rows import Row


def _ratio(row: Row) -> float | None:
    return row.ratio


def _peak(row: Row) -> float | None:
    return row.fraction_of_peak


def _bandwidth(row: Row) -> float | None:
    return row.fraction_of_bandwidth


def _large(row: Row) -> bool:
    return row.hidden_size >= 256 and row.batch >= 32


def _middle(row: Row) -> bool:
    return 128 <= row.hidden_size <= 1024 and 16 <= row.batch <= 128


def _small(row: Row) -> bool:
    return 32 <= row.hidden_size <= 64 or 1 <= row.batch <= 8


def _goal(
    title: str,
    belongs: Callable[[Row], bool],
    limits: Mapping[str, tuple[float | None, float | None]],
    figure: Callable[[Row], float | None] = _ratio,
    alone: Mapping[str, tuple[float | None, float | None]] | None = None,
) -> Goal:
    return Goal(title, belongs, figure, _limits(limits), _limits(alone or {}))


def _limits(pairs: Mapping[str, tuple[float | None, float | None]]) -> dict[str, RatioLimits]:
    return {cell: RatioLimits(*pair) for cell, pair in pairs.items()}


def _layer(mode: str, *peers: str) -> Callable[[Row], bool]:
    return lambda row: (row.suite, row.mode, row.dtype) == ("layers", mode, "float32") and row.peer in peers


def _both(*tests: Callable[[Row], bool]) -> Callable[[Row], bool]:
    return lambda row: all(test(row) for test in tests)


def _pair(suite: str, peer: str, hidden: int | None = None) -> Callable[[Row], bool]:
    return lambda row: (row.suite, row.peer) == (suite, peer) and hidden in (None, row.hidden_size)


def _bfloat16(peer: str) -> Callable[[Row], bool]:
    return lambda row: (row.dtype, row.mode, row.peer) == ("bfloat16", "train", peer) and _large(row)


def _decoding(peer: str, batch: int) -> Callable[[Row], bool]:
    return lambda row: (row.suite, row.peer, row.batch) == ("decode", peer, batch)


_COST = (1 / 1.4, 1 / 1.4)  # forward is made twice: a third more work


GOALS = (
    _goal(
        "forward, share of the peak, H ≥ 256, B ≥ 32",
        _both(_layer("infer", "torch"), _large),
        {ANY: (0.88, 0.88)},
        _peak,
    ),
    _goal(
        "forward + backward, share of the peak, H ≥ 256, B ≥ 32",
        _both(_layer("train", "torch"), _large),
        {ANY: (0.8, 0.8)},
        _peak,
    ),
    _goal(
        "training against torch, H 128 … 1024, B 16 … 128",
        _both(_layer("train", "torch"), _middle),
        {"lstm": (1.2, 1.0), "gru": (2.5, 1.5), "elman": (2.3, 1.5)},
        alone={"lstm": (1.1, 1.0)},
    ),
    _goal(
        "training against torch, H 32 … 64 or B 1 … 8",
        _both(_layer("train", "torch"), _small),
        {"lstm": (1.5, 1.0), "gru": (4.0, 1.0), "elman": (4.0, 1.0)},
    ),
    _goal(
        "inference against the better of torch and ONNX Runtime",
        _layer("infer", "torch", "onnxruntime"),
        {"lstm": (1.05, 0.95), "gru": (1.3, 0.95), "elman": (2.0, 0.95)},
    ),
    _goal("ragged training against padded torch", _pair("ragged", "torch padded"), {ANY: (3.5, None)}),
    _goal("ragged training against packed torch", _pair("ragged", "torch packed"), {ANY: (12.0, None)}),
    _goal("ragged training against our own dense rate", _pair("ragged", "elman dense"), {ANY: (0.85, None)}),
    _goal("layer-norm LSTM against eager torch, H 512", _pair("cells", "torch", 512), {ANY: (3.5, None)}),
    _goal("layer-norm LSTM against eager torch, H 128", _pair("cells", "torch", 128), {ANY: (6.0, None)}),
    _goal("bfloat16 training against our float32, H ≥ 256, B ≥ 32", _bfloat16("elman float32"), {ANY: (1.5, None)}),
    _goal("bfloat16 training against torch's, H ≥ 256, B ≥ 32", _bfloat16("torch"), {"lstm": (1.2, None)}),
    _goal(
        "batch 1 inside a sequence, share of the bandwidth of the weights' cache",
        lambda row: (row.suite, row.mode, row.peer) == ("steps", "infer", "torch"),
        {ANY: (0.8, 0.8)},
        _bandwidth,
    ),
    _goal("a call for each step against the better of torch and ONNX Runtime", lambda row: row.mode == "stream", {}),
    _goal("training on characters, end to end, against torch", _pair("text", "torch"), {}),
    _goal("100,000 steps in bounded memory, against our own that keep all", _pair("long", "elman plain"), {ANY: _COST}),
    _goal("linear layer and cross-entropy in one, against torch", _pair("loss", "torch"), {}),
    _goal(
        "decoding, of the rate of bare steps",
        _decoding("elman steps", 1),
        {"greedy": (0.9, 0.9), "sample": (0.9, 0.9)},
    ),
    _goal(
        "constrained, of the rate of sampling without", _decoding("elman unconstrained", 1), {ANY: (1 / 1.2, 1 / 1.2)}
    ),
    _goal("a beam of 8, of the rate of 8 greedy streams", _decoding("elman 8 streams", 1), {ANY: (1 / 1.5, 1 / 1.5)}),
    _goal("64 prompts at once, share of the peak", _decoding("elman steps", 64), {ANY: (0.75, 0.75)}, _peak),
    _goal("decoding one prompt against a torch loop", _decoding("torch", 1), {ANY: (5.0, 5.0)}),
)
