"""The LSTM with exponential gates."""

from elman.equations import cell, exp, maximum, sigmoid, softplus, tanh


@cell(states="h c n m")
def slstm(x, h, c, n, m, W, U, b):
    """Scalar xLSTM memory: exponential input gate, normaliser n, stabiliser m.

    The forget gate is a sigmoid, kept as its logarithm. n is held at 1 or above while nothing has been written.
    Reference: Beck et al. 2024, arXiv:2405.04517, equations 8 to 17.
    """
    i = W.i @ x + U.i @ h + b.i
    f = -softplus(-(W.f @ x + U.f @ h + b.f))
    z = tanh(W.z @ x + U.z @ h + b.z)
    o = sigmoid(W.o @ x + U.o @ h + b.o)
    p = maximum(f + m, i)
    c = exp(f + m - p) * c + exp(i - p) * z
    n = exp(f + m - p) * n + exp(i - p)
    m = p
    h = o * c / maximum(n, 1e-6)
    return h, c, n, m
