"""The LSTM with exponential gates."""

from elman.equations import cell, exp, maximum, sigmoid, softplus, tanh


@cell(states="h c n m", start={"m": -1e30})
def slstm(x, h, c, n, m, W, U, b):
    """Scalar xLSTM memory: exponential input gate, normaliser n, stabiliser m.

    The forget gate is a sigmoid, kept as its logarithm. m starts so low that the first step takes its own: from there
    on one of the two exponentials is 1, and n stays at 1 or above.
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
    h = o * c / n
    return h, c, n, m
