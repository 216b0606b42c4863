"""The LSTM that shows a smaller view of its memory."""

from elman.equations import cell, sigmoid, tanh


@cell(states="h:P c")
def projected_lstm(x, h, c, W, U, b, R):
    """Long short-term memory with a recurrent projection layer of size P.

    Reference: Sak, Senior & Beaufays 2014, arXiv:1402.1128, the LSTMP (here without peepholes, as in PyTorch).
    """
    i = sigmoid(W.i @ x + U.i @ h + b.i)
    f = sigmoid(W.f @ x + U.f @ h + b.f)
    g = tanh(W.g @ x + U.g @ h + b.g)
    o = sigmoid(W.o @ x + U.o @ h + b.o)
    c = f * c + i * g
    h = R @ (o * tanh(c))
    return h, c
