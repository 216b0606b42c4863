"""The LSTM with nothing but its forget gate."""

from elman.equations import cell, sigmoid, tanh


@cell(states="h")
def janet(x, h, W, U, b, *, beta=1.0):
    """Just another network: the forget gate alone, the write gate shifted by beta.

    Reference: van der Westhuizen & Lasenby 2018, arXiv:1804.04849.
    """
    s = W.f @ x + U.f @ h + b.f
    g = tanh(W.g @ x + U.g @ h + b.g)
    h = sigmoid(s) * h + (1 - sigmoid(s - beta)) * g
    return h
