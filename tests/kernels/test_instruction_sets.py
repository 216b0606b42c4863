"""The instruction set is an engine's own: what one thread or task asks for, no other sees."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from elman import cells
from elman.errors import KernelError
from elman.kernels import Precision, Rows, Weight, available_isas, engine_for, forced_isa, isa, linear_for

OTHERS = available_isas()[:-1] or available_isas()


def product(layer, rows: int = 5) -> np.ndarray:
    """y = W x of a linear layer without a bias on fixed numbers."""
    random = np.random.default_rng(0)
    weight = random.standard_normal((layer.rows, layer.columns)).astype(np.float32)
    x = random.standard_normal((rows, layer.columns)).astype(np.float32)
    y = np.full((rows, layer.rows), np.nan, np.float32)
    packed = layer.pack(Weight(weight.ctypes.data, layer.columns), 0, 1)
    layer.forward(packed, Rows(x.ctypes.data, layer.columns), Rows(y.ctypes.data, layer.rows), rows, 1)
    assert np.allclose(y, x.astype(np.float64) @ weight.T.astype(np.float64), atol=1e-4)
    return y


def layer():
    return linear_for(129, 33, False, Precision.FLOAT32)


def test_an_unknown_one_is_refused_and_the_list_is_given() -> None:
    with pytest.raises(KernelError, match=rf"'mmx' is not available here; available: {', '.join(available_isas())}"):
        forced_isa("mmx").__enter__()
    assert isa() == available_isas()[-1]


def test_a_block_ends_with_what_was_before() -> None:
    with forced_isa(OTHERS[0]):
        with forced_isa(available_isas()[-1]):
            assert isa() == available_isas()[-1]
        assert isa() == OTHERS[0]
    with pytest.raises(ZeroDivisionError), forced_isa(OTHERS[0]):
        raise ZeroDivisionError
    assert isa() == available_isas()[-1]


@pytest.mark.parametrize("name", OTHERS)
def test_an_engine_computes_with_the_one_that_it_was_made_with(name: str) -> None:
    here = product(layer())
    with forced_isa(name):
        made = layer()
        there = product(made)
    assert made.isa.name == name
    assert np.array_equal(product(made), there), "bits of the instruction set outside"
    assert np.array_equal(product(layer()), here)
    if name == "generic" and isa() != name:
        assert not np.array_equal(here, there)  # it has no fused multiply-add: else this test shows nothing


@pytest.mark.parametrize("name", OTHERS)
def test_what_an_engine_makes_later_has_its_instruction_set(name: str) -> None:
    """Programs are bound at first need, which may come after the block has ended."""
    sizes = {"D": 3, "H": 5 + OTHERS.index(name)}
    with forced_isa(name):
        engine = engine_for(cells.get("lstm").graph, sizes)
    assert engine is not engine_for(cells.get("lstm").graph, sizes) or name == isa()
    kernels = [engine.inference.whole, engine.training.whole, engine.backward, *engine.input_gradients.values()]
    assert {kernel.isa.name for kernel in kernels} == {name}


@pytest.mark.parametrize("name", OTHERS)
def test_a_thread_does_not_change_it_for_others(name: str) -> None:
    here, inside, done, found = product(layer()), threading.Event(), threading.Event(), []

    def other() -> None:
        with forced_isa(name):
            found.append(product(layer()))
            inside.set()
            assert done.wait(600)
            found.append(product(layer()))

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(600)
    assert isa() == available_isas()[-1]
    assert np.array_equal(product(layer()), here)
    done.set()
    thread.join(120)
    assert np.array_equal(found[0], found[1])


def test_threads_at_once_each_have_their_own() -> None:
    expected = {}
    for name in available_isas():
        with forced_isa(name):
            expected[name] = product(layer())
    problems: list[str] = []

    def work(name: str) -> None:
        for _ in range(50):
            with forced_isa(name):
                if isa() != name or not np.array_equal(product(layer()), expected[name]):
                    problems.append(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in available_isas() * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not problems


def test_a_task_does_not_change_it_for_others() -> None:
    async def one(name: str) -> bool:
        with forced_isa(name):
            await asyncio.sleep(0)
            return isa() == name

    async def all_of_them() -> list[bool]:
        return await asyncio.gather(*(one(name) for name in available_isas()))

    assert all(asyncio.run(all_of_them()))
