"""The GRU whose gates look at the input alone."""

from elman.equations import cell, sigmoid, where


@cell(states="h")
def min_gru(x, h, W, b):
    """Minimal gated recurrent unit, affine in its state.

    Reference: Feng et al. 2024, arXiv:2410.01201, its log-space version (the candidate kept positive by g).
    """
    z = sigmoid(W.z @ x + b.z)
    v = W.n @ x + b.n
    n = where(v >= 0, v + 0.5, sigmoid(v))
    h = (1 - z) * h + z * n
    return h
