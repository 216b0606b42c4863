"""`with accelerated():` serves models that others build and load: inside the block, in its thread, no longer."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import pickle
import threading
from typing import Any

import pytest
import torch

import elman
import elman.nn
from tests.nn.layers import KINDS, OURS, D, H, assert_same

HOOKS = [(kind, name) for kind in (torch.nn.RNNBase, torch.nn.RNNCellBase) for name in ("__init__", "__setstate__")]


class Timed(torch.nn.LSTM):
    """A class of somebody's, with something of its own."""

    def __init__(self, scale: float) -> None:
        super().__init__(D, H)
        self.scale = scale

    def forward(self, input: Any, hx: Any = None) -> Any:
        return super().forward(self.scale * input, hx)


class Filed(torch.nn.LSTM):
    """A class that means something else by a name of ours."""

    def __init__(self) -> None:
        super().__init__(D, H)
        self.path = "a file"


class Estimator:
    """What darts, Lightning and the like do: the network is made in `fit`, and again in `load`."""

    def fit(self) -> Estimator:
        self.network = torch.nn.Sequential(torch.nn.Linear(D, D), torch.nn.GRU(D, H, batch_first=True))
        return self

    def load(self, state: dict[str, Any]) -> Estimator:
        self.fit().network.load_state_dict(state)
        return self


@pytest.fixture(autouse=True)
def _torch_is_itself_again() -> Any:
    before = [vars(kind).get(name) for kind, name in HOOKS]
    yield
    assert [vars(kind).get(name) for kind, name in HOOKS] == before


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_built(kind: type[torch.nn.Module]) -> None:
    torch.manual_seed(4)
    theirs = kind(D, H, 2)
    torch.manual_seed(4)
    with elman.accelerated() as said:
        layer = kind(D, H, 2)
    assert type(layer) is OURS[kind]
    assert said == [f"torch.nn.{kind.__name__} is elman.nn.{kind.__name__} now"]
    assert type(kind(D, H)) is kind
    assert_same(layer(x := torch.randn(3, 2, D)), theirs(x))
    assert vars(layer).keys() == vars(theirs).keys()


def test_what_a_fit_builds_and_a_load() -> None:
    first = Estimator().fit()
    with elman.accelerated():
        fitted = Estimator().fit()
        loaded = Estimator().load(first.network.state_dict())
    assert [type(e.network[1]) for e in (first, fitted, loaded)] == [torch.nn.GRU, elman.nn.GRU, elman.nn.GRU]
    assert_same(loaded.network(x := torch.randn(2, 3, D)), first.network(x))


def test_what_is_unpickled_and_copied() -> None:
    model = torch.nn.Sequential(torch.nn.GRU(D, H))
    data = pickle.dumps(model)
    with elman.accelerated() as said:
        loaded, copied = pickle.loads(data), copy.deepcopy(model)
    assert type(loaded[0]) is type(copied[0]) is elman.nn.GRU
    assert type(model[0]) is torch.nn.GRU
    assert len(said) == 2
    assert_same(loaded(x := torch.randn(3, 2, D)), model(x))


def test_derived_classes() -> None:
    name = f"{__name__}.Timed"
    with elman.accelerated() as said:
        timed, filed = Timed(2.0), Filed()
    assert said == [
        f"{name} finds elman.nn.LSTM.forward above its own now",
        f"{__name__}.Filed left alone, it has 'path' of its own",
    ]
    assert isinstance(timed, elman.nn.LSTM)
    assert timed.scale == 2.0
    assert (type(filed), filed.path) == (Filed, "a file")
    plain = Timed(2.0)
    plain.load_state_dict(timed.state_dict())
    assert_same(timed(x := torch.randn(3, 2, D)), plain(x))


def test_layers_that_were_there_stay_and_ours_are_ours() -> None:
    before = torch.nn.GRU(D, H)
    with elman.accelerated() as said:
        elman.nn.LSTM(D, H)
        torch.nn.Linear(D, H)
        on_meta = torch.nn.GRU(D, H, device="meta")
    assert said == ["torch.nn.GRU left alone, it is on meta"]
    assert type(before) is type(on_meta) is torch.nn.GRU


def test_blocks_inside_one_another_and_errors() -> None:
    with elman.accelerated() as outer:
        with contextlib.suppress(ZeroDivisionError), elman.accelerated() as inner:
            torch.nn.LSTM(D, H)
            raise ZeroDivisionError
        assert type(torch.nn.GRU(D, H)) is elman.nn.GRU
        with pytest.raises(TypeError):
            torch.nn.GRU("a", H)
    assert inner == ["torch.nn.LSTM is elman.nn.LSTM now"]
    assert outer == ["torch.nn.GRU is elman.nn.GRU now"]
    assert type(torch.nn.GRU(D, H)) is torch.nn.GRU


def test_other_threads_and_tasks_are_not_concerned() -> None:
    inside, made, found = threading.Event(), threading.Event(), []

    def other() -> None:
        inside.wait(600)
        found.append(type(torch.nn.LSTM(D, H)))
        with elman.accelerated():
            made.set()
            found.append(type(torch.nn.LSTM(D, H)))
        found.append(type(torch.nn.LSTM(D, H)))

    thread = threading.Thread(target=other)
    thread.start()
    with elman.accelerated():
        inside.set()
        assert made.wait(600)
        found.append(type(torch.nn.GRU(D, H)))
    thread.join()
    assert sorted(kind.__module__.split(".")[0] + kind.__name__ for kind in found) == [
        "elmanGRU", "elmanLSTM", "torchLSTM", "torchLSTM",
    ]  # fmt: skip


def test_tasks_see_their_own_block() -> None:
    async def with_block(turn: asyncio.Event) -> type:
        with elman.accelerated():
            turn.set()
            await asyncio.sleep(0)
            return type(torch.nn.GRU(D, H))

    async def without(turn: asyncio.Event) -> type:
        await turn.wait()
        return type(torch.nn.GRU(D, H))

    async def both() -> list[type]:
        turn = asyncio.Event()
        return await asyncio.gather(without(turn), with_block(turn))

    assert asyncio.run(both()) == [torch.nn.GRU, elman.nn.GRU]
