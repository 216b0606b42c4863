"""Units that remember only themselves."""

from elman.equations import cell, relu


@cell(states="h")
def indrnn(x, h, W, u, b):
    """Independently recurrent network: the recurrence is element-wise.

    Reference: Li et al. 2018, arXiv:1803.04831.
    """
    h = relu(W @ x + u * h + b)
    return h
