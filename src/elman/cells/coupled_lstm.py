"""The LSTM that forgets exactly as much as it writes."""

from elman.equations import cell, sigmoid, tanh


@cell(states="h c")
def coupled_lstm(x, h, c, W, U, b):
    """Long short-term memory with coupled input and forget gates.

    Reference: Greff et al. 2017, arXiv:1503.04069, variant CIFG.
    """
    f = sigmoid(W.f @ x + U.f @ h + b.f)
    g = tanh(W.g @ x + U.g @ h + b.g)
    o = sigmoid(W.o @ x + U.o @ h + b.o)
    c = f * c + (1 - f) * g
    h = o * tanh(c)
    return h, c
