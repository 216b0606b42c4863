"""Ctrl-C, SIGTERM and a closed terminal in the middle of a step: finish the step, save, then stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Stopped(KeyboardInterrupt):
    """A run was stopped by a signal and can be resumed; `signal` is its number."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.signal = number


class StopRequest:
    """Whether, and by which signal, the run was asked to stop."""

    signal: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Take the first signal as a request; a second one interrupts at once."""
        if self.signal is not None:
            interrupt(number, frame)
        self.signal = number


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """End at once, with the status that belongs to the signal."""
    raise Stopped("interrupted", number)


@contextmanager
def handled(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Give the signals that ask for an end to a handler while the block runs.

    Those that the process was started to ignore (nohup) stay ignored. Outside the main thread Python allows no
    handlers, and nothing is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in taken}
    try:
        yield
    finally:
        for number, handler_before in before.items():
            signal.signal(number, handler_before)


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Take the signals as requests while the block runs."""
    request = StopRequest()
    with handled(request):
        yield request
