"""The LSTM whose gates look at the memory."""

from elman.equations import cell, sigmoid, tanh


@cell(states="h c")
def peephole_lstm(x, h, c, W, U, p, b):
    """Long short-term memory with peephole connections.

    Reference: Gers, Schraudolph & Schmidhuber 2002, JMLR 3; this form: Graves 2013, arXiv:1308.0850, equations 7 to 11.
    """
    i = sigmoid(W.i @ x + U.i @ h + p.i * c + b.i)
    f = sigmoid(W.f @ x + U.f @ h + p.f * c + b.f)
    g = tanh(W.g @ x + U.g @ h + b.g)
    c = f * c + i * g
    o = sigmoid(W.o @ x + U.o @ h + p.o * c + b.o)
    h = o * tanh(c)
    return h, c
