"""The LSTM whose recurrent matrices are another for every input."""

from elman.equations import cell, sigmoid, tanh


@cell(states="h c", parameters="W.m:H")
def multiplicative_lstm(x, h, c, W, U, b):
    """Multiplicative LSTM: the gates see m, the product of what x and h make, in place of h.

    Reference: Krause et al. 2016, arXiv:1609.07959, equations 14 to 18 (there without biases).
    """
    m = (W.m @ x) * (U.m @ h)  # the state as x reads it
    i = sigmoid(W.i @ x + U.i @ m + b.i)
    f = sigmoid(W.f @ x + U.f @ m + b.f)
    g = tanh(W.g @ x + U.g @ m + b.g)
    o = sigmoid(W.o @ x + U.o @ m + b.o)
    c = f * c + i * g
    h = o * tanh(c)
    return h, c
