"""The long short-term memory."""

from elman.equations import cell, sigmoid, tanh


@cell(states="h c")
def lstm(x, h, c, W, U, b):
    """Long short-term memory with a forget gate.

    Reference: Hochreiter & Schmidhuber 1997; forget gate: Gers, Schmidhuber & Cummins 2000.
    """
    i = sigmoid(W.i @ x + U.i @ h + b.i)  # what to write
    f = sigmoid(W.f @ x + U.f @ h + b.f)  # what to keep
    g = tanh(W.g @ x + U.g @ h + b.g)  # the candidate
    o = sigmoid(W.o @ x + U.o @ h + b.o)  # what to show
    c = f * c + i * g
    h = o * tanh(c)
    return h, c
