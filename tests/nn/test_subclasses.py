"""Classes derived from torch's layers are accelerated where their forward ends in torch's; others are not, and why."""

from __future__ import annotations

import copy
import functools
import io
import pickle
from abc import ABC, abstractmethod
from typing import Any

import pytest
import torch
from torch import Tensor

import elman
import elman.nn
from tests.nn.layers import D, H, assert_same, tensors_of

T, B = 5, 2


class Plain(torch.nn.LSTM):
    """Nothing of its own."""


class Scaled(torch.nn.GRU):
    """Work around torch's forward."""

    def __init__(self, *sizes: int, scale: float = 2.0) -> None:
        super().__init__(*sizes)
        self.scale = scale

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        output, state = super().forward(self.scale * input, hx)
        return output + 1, state


class Deeper(Scaled):
    """A class below another, in the older way of writing, behind a decorator and another method."""

    def inner(self, input: Tensor) -> Any:
        return super(Deeper, self).forward(input)  # noqa: UP008 this is what is tested

    @torch.no_grad()
    def forward(self, input: Tensor, hx: Any = None) -> Any:
        return self.inner(input)


class Base(ABC, torch.nn.RNNBase):
    """What pytorch_forecasting's layers do: the forward stands in an abstract class beside torch's."""

    @abstractmethod
    def begin(self) -> None: ...

    def forward(self, input: Any, hx: Any = None, lengths: Any = None) -> Any:
        return super().forward(input, hx=hx) if lengths is None else None


class Forecasting(Base, torch.nn.LSTM):
    """And the layer derives from both."""

    def begin(self) -> None: ...


class ByName(torch.nn.LSTM):
    def forward(self, input: Any, hx: Any = None) -> Any:
        return torch.nn.LSTM.forward(self, input, hx)


class Another(torch.nn.LSTM):
    def forward(self, input: Any, hx: Any = None) -> Any:
        super().flatten_parameters()
        return input, hx


class BelowAnother(Another):
    def forward(self, input: Any, hx: Any = None) -> Any:
        return super().forward(input, hx)


class Checking(torch.nn.LSTM):
    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        raise ValueError("no input is good enough")


class Filed(torch.nn.LSTM):
    def __init__(self) -> None:
        super().__init__(D, H)
        self.path = "a file"


class Closed(torch.nn.LSTM):
    def __init_subclass__(cls) -> None:
        raise TypeError("final")


class OfTheBase(torch.nn.RNNBase):
    def __init__(self) -> None:
        super().__init__("GRU", D, H)


TAKEN = {Plain: elman.nn.LSTM, Scaled: elman.nn.GRU, Deeper: elman.nn.GRU, Forecasting: elman.nn.LSTM}
LEFT = {
    ByName: "its forward calls torch.nn.LSTM.forward by name; super().forward would find ours",
    Another: "its forward does not call super().forward",
    BelowAnother: "its forward does not call super().forward",
    Checking: "it has 'check_input' of its own",
    Filed: "it has 'path' of its own",
    Closed: "Python makes no class from it and ours: final",
    OfTheBase: "it derives from none of torch's layers",
}
HERE = __name__


@pytest.mark.parametrize("kind", TAKEN)
class TestTaken:
    def pair(self, kind: type[Any]) -> tuple[Any, Any, Tensor]:
        theirs = kind(D, H)
        ours = copy.deepcopy(theirs)
        report, name = elman.accelerate(ours), f"{HERE}.{kind.__qualname__}"
        above = f"elman.nn.{TAKEN[kind].__name__}.forward"
        assert report.changed == (("the model itself", f"{name} finds {above} above its own now"),)
        return theirs, ours, torch.randn(T, B, D)

    def test_results_are_the_same_and_ours(self, kind: type[Any]) -> None:
        theirs, ours, x = self.pair(kind)
        assert isinstance(ours, kind)
        assert isinstance(ours, TAKEN[kind])
        assert (type(ours).__name__, type(ours).__module__) == (kind.__name__, kind.__module__)
        assert repr(ours) == repr(theirs)
        assert_same(ours(x), theirs(x))
        plain = TAKEN[kind](D, H)
        plain.load_state_dict(ours.state_dict())
        if kind in (Plain, Forecasting):
            assert all(torch.equal(a, b) for a, b in zip(tensors_of(ours(x)), tensors_of(plain(x)), strict=True))

    def test_copies_and_pickles(self, kind: type[Any]) -> None:
        _, ours, x = self.pair(kind)
        file = io.BytesIO()
        torch.save(ours, file)
        file.seek(0)
        pickles = [pickle.loads(pickle.dumps(ours, protocol)) for protocol in (0, 2, pickle.HIGHEST_PROTOCOL)]
        for other in (copy.deepcopy(ours), copy.copy(ours), torch.load(file, weights_only=False), *pickles):
            assert type(other) is type(ours)
            assert torch.equal(other(x)[0], ours(x)[0])

    def test_a_second_layer_has_the_same_class(self, kind: type[Any]) -> None:
        _, ours, _ = self.pair(kind)
        _, other, _ = self.pair(kind)
        assert type(other) is type(ours)

    def test_restored(self, kind: type[Any]) -> None:
        theirs, ours, x = self.pair(kind)
        assert str(elman.restore(ours)) == f"the model itself: {HERE}.{kind.__qualname__} again"
        assert type(ours) is kind
        assert all(torch.equal(a, b) for a, b in zip(tensors_of(ours(x)), tensors_of(theirs(x)), strict=True))

    def test_compiled(self, kind: type[Any]) -> None:
        _, ours, x = self.pair(kind)
        assert_same(torch.compile(ours, backend="eager")(x), ours(x))


@pytest.mark.parametrize("kind", LEFT)
def test_left_alone(kind: type[Any]) -> None:
    layer = kind() if kind in (Filed, OfTheBase) else kind(D, H)
    report = elman.accelerate(torch.nn.ModuleDict({"layer": layer}))
    assert report.left == (("layer", f"{HERE}.{kind.__name__} left alone, {LEFT[kind]}"),)
    assert type(layer) is kind


def test_an_attribute_of_one_layer_leaves_it_alone() -> None:
    one, other = Plain(D, H), Plain(D, H)
    one.path = functools.partial(print)
    report = elman.accelerate(torch.nn.ModuleList([one, other]))
    assert [name for name, _ in report.left] == ["0"]
    assert [name for name, _ in report.changed] == ["1"]


def test_a_class_that_changed_since_is_unpickled_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = Plain(D, H)
    elman.accelerate(layer)
    data = pickle.dumps(layer)
    monkeypatch.setattr(Plain, "forward", lambda self, input: input, raising=False)
    assert type(pickle.loads(data)) is Plain


def test_pytorch_forecasting() -> None:
    rnn = pytest.importorskip("pytorch_forecasting.models.nn.rnn", reason="pytorch_forecasting is not installed")
    for kind in (rnn.LSTM, rnn.GRU):
        theirs = kind(D, H, batch_first=True)
        ours, x, lengths = copy.deepcopy(theirs), torch.randn(B, T, D), torch.tensor([0, T])
        assert len(elman.accelerate(ours).changed) == 1
        assert_same(ours(x, lengths=lengths, enforce_sorted=False), theirs(x, lengths=lengths, enforce_sorted=False))
