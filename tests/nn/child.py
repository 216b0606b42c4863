"""What child processes of the tests run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def results_and_gradients(layer: torch.nn.Module, x: Any) -> list[Tensor]:
    """Output and gradients of all parameters, detached."""
    output, _ = layer(x)
    gradients = torch.autograd.grad(output.square().sum(), list(layer.parameters()))
    return [output.detach(), *gradients]


def work(layer: torch.nn.Module, x: Tensor, answer: Any) -> None:
    """Send the results as lists, which need no shared memory; or what went wrong."""
    try:
        answer.send([tensor.tolist() for tensor in results_and_gradients(layer, x)])
    except BaseException as error:
        answer.send(repr(error))
        raise
