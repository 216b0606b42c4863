"""The Elman cells: one state, fed back through one matrix."""

from elman.equations import cell, relu, tanh


@cell(states="h")
def elman(x, h, W, U, b):
    """Simple recurrent network with tanh.

    Reference: Elman 1990, "Finding structure in time", Cognitive Science 14(2).
    """
    h = tanh(W @ x + U @ h + b)
    return h


@cell(states="h")
def elman_relu(x, h, W, U, b):
    """Simple recurrent network with rectified linear units.

    Reference: Le, Jaitly & Hinton 2015, arXiv:1504.00941 (there with U started at the identity).
    """
    h = relu(W @ x + U @ h + b)
    return h
