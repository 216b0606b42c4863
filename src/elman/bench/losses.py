"""The loss of a language model's head and its gradients, made in one with the linear layer, beside torch's."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from elman.bench.contest import Contest
from elman.bench.layers import Peers
from elman.bench.rows import Case
from elman.bench.sweep import Sweep
from elman.bench.torch_sides import side
from elman.nn import LinearCrossEntropy

CLASSES = {"softmax 100": 100, "softmax 2000": 2_000, "softmax 20000": 20_000}


def cases(options: Sweep) -> list[Case]:
    """Vocabularies of characters, of pieces of words, and of words."""
    cells, hidden = (("softmax 2000",), (256,)) if options.quick else (tuple(CLASSES), (256, 512))
    return list(options.cases("loss", cells=cells, modes=("train",), hidden=hidden, batch=(32,), steps=32))


class _LossAndRows(torch.nn.Module):
    """A linear layer with its loss, and the rows that it is given."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        rows, classes = case.steps * case.batch, CLASSES[case.cell]
        self.loss = LinearCrossEntropy(case.hidden_size, classes)
        self.x = torch.nn.Parameter(torch.randn(rows, case.hidden_size))
        self.targets = torch.randint(0, classes, (rows,))


def prepare(case: Case, peers: Sequence[str]) -> Contest:
    """Both with the same weights; the gradient of the rows is made too."""
    torch.manual_seed(0)
    ours = _LossAndRows(case)
    theirs = copy.deepcopy(ours)

    def by_torch() -> Tensor:
        layer = theirs.loss.linear
        return cross_entropy(linear(theirs.x, layer.weight, layer.bias), theirs.targets)

    sides: Peers = {"torch": lambda: side(theirs, by_torch, case)} if "torch" in peers else {}
    operations = 3 * 2.0 * case.steps * case.batch * case.hidden_size * CLASSES[case.cell]
    return Contest(case, side(ours, lambda: ours.loss(ours.x, ours.targets), case), sides, operations)
