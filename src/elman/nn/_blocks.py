"""`with accelerated():` for layers that others make: inside a `fit`, or when a model is loaded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any

import torch

from elman.nn._replace import RECURRENT
from elman.nn.acceleration import accelerate_layer

_said: ContextVar[list[str] | None] = ContextVar("elman_accelerated", default=None)  # of the block that runs here
_lock = threading.Lock()
_running = 0
_before: list[tuple[type, str, Callable[..., None] | None]] = []


@contextmanager
def accelerated() -> Iterator[list[str]]:
    """Recurrent layers of torch's that are made inside the block are accelerated from the start, as by `accelerate`.

    Made is what is built, unpickled or copied by the thread (or task) that runs the block; other threads are not
    concerned, nor are layers that were there before. While any block runs, `__init__` and `__setstate__` of torch's two
    base classes of recurrent layers look after it; then they are torch's own again.

    Yields:
        a list to which each layer adds a sentence: what it is now, or why it was left alone.
    """
    said: list[str] = []
    _enter()
    token = _said.set(said)
    try:
        yield said
    finally:
        _said.reset(token)
        _leave()


def _enter() -> None:
    global _running
    with _lock:
        _running += 1
        if _running > 1:
            return
        for kind in RECURRENT:
            for name in ("__init__", "__setstate__"):
                _before.append((kind, name, vars(kind).get(name)))
                setattr(kind, name, _watched(getattr(kind, name)))


def _leave() -> None:
    global _running
    with _lock:
        _running -= 1
        if _running:
            return
        while _before:
            kind, name, method = _before.pop()
            if method is None:
                delattr(kind, name)
            else:
                setattr(kind, name, method)


def _watched(method: Callable[..., None]) -> Callable[..., None]:
    @wraps(method)
    def then_accelerate(self: torch.nn.Module, *args: Any, **options: Any) -> None:
        method(self, *args, **options)
        said = _said.get()
        if said is not None:
            _, text = accelerate_layer(self)
            said += [text] if text else []

    return then_accelerate
