"""The LSTM whose gates look at the input alone."""

from elman.equations import cell, sigmoid, where


@cell(states="h")
def min_lstm(x, h, W, b):
    """Minimal long short-term memory with normalised gates, affine in its state.

    Reference: Feng et al. 2024, arXiv:2410.01201, its log-space version (the candidate kept positive by g).
    """
    f = sigmoid(W.f @ x + b.f)
    i = sigmoid(W.i @ x + b.i)
    v = W.n @ x + b.n
    n = where(v >= 0, v + 0.5, sigmoid(v))
    h = f / (f + i) * h + i / (f + i) * n
    return h
