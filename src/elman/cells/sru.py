"""The simple recurrent unit."""

from elman.equations import cell, sigmoid


@cell(states="c", output="h")
def sru(x, c, W, v, b):
    """Simple recurrent unit: all its products are of x alone, and a highway leads past it.

    Reference: Lei et al. 2018, arXiv:1709.02755v5, equations 1 to 4 (x goes through a matrix of its own to its size).
    """
    f = sigmoid(W.f @ x + v.f * c + b.f)  # what to keep
    r = sigmoid(W.r @ x + v.r * c + b.r)  # what of the memory to show
    c = f * c + (1 - f) * (W.c @ x)
    h = r * c + (1 - r) * (W.h @ x)
    return c, h
