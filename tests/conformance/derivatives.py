"""What tests of gradients share: leaves, and a loss in which each element has a weight of its own."""

from __future__ import annotations

import torch

from elman.sequences import Ragged


def leaves(tensors):
    return [t.detach().clone().requires_grad_() for t in tensors]


def weighted_sum(output, after):
    """A number that depends on every output and final state, on each in its own way, however sequences are laid out."""
    if not isinstance(output, torch.Tensor):
        output = output.values if isinstance(output, Ragged) else output.data
    total = 0.0
    for k, tensor in enumerate([output, *after.values()]):
        generator = torch.Generator().manual_seed(100 + k)
        weights = torch.randn(tensor.shape[-1], generator=generator, dtype=torch.float64).to(tensor.dtype)
        total = total + (tensor * weights).sum() + 0.5 * (tensor**2).sum()
    return total
