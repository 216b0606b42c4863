"""The gated recurrent unit, reset after the product."""

from elman.equations import cell, sigmoid, tanh


@cell(states="h")
def gru(x, h, W, U, b, d):
    """Gated recurrent unit whose reset gate comes after the recurrent product, as in cuDNN and PyTorch.

    Reference: Cho et al. 2014, arXiv:1406.1078v1 (there without biases).
    """
    r = sigmoid(W.r @ x + U.r @ h + b.r)  # what of the past the candidate sees
    z = sigmoid(W.z @ x + U.z @ h + b.z)  # what to keep
    n = tanh(W.n @ x + b.n + r * (U.n @ h + d.n))  # the candidate
    h = (1 - z) * n + z * h
    return h
