"""The gated recurrent unit, reset before the product."""

from elman.equations import cell, sigmoid, tanh


@cell(states="h")
def gru_reset_before(x, h, W, U, b):
    """Gated recurrent unit whose reset gate comes before the recurrent product, as in the paper.

    Reference: Cho et al. 2014, arXiv:1406.1078v3, equations 5 to 8 (there without biases).
    """
    r = sigmoid(W.r @ x + U.r @ h + b.r)  # what of the past the candidate sees
    z = sigmoid(W.z @ x + U.z @ h + b.z)  # what to keep
    n = tanh(W.n @ x + U.n @ (r * h) + b.n)  # the candidate
    h = (1 - z) * n + z * h
    return h
