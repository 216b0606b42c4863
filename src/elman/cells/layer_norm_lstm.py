"""The LSTM with normalised pre-activations."""

from elman.equations import cell, layer_norm, sigmoid, tanh


@cell(states="h c")
def layer_norm_lstm(x, h, c, W, U, v, u, g, b, *, eps=1e-5):
    """Long short-term memory, layer-normalised.

    The four products of x are normalised jointly, so are those of h, and so is the memory as it is shown; v, u and g
    are the gains, b the biases.
    Reference: Ba, Kiros & Hinton 2016, arXiv:1607.06450, equations 20 to 22.
    """
    xi, xf, xg, xo = layer_norm(W.i @ x, W.f @ x, W.g @ x, W.o @ x, eps=eps)
    hi, hf, hg, ho = layer_norm(U.i @ h, U.f @ h, U.g @ h, U.o @ h, eps=eps)
    i = sigmoid(v.i * xi + u.i * hi + b.i)
    f = sigmoid(v.f * xf + u.f * hf + b.f)
    n = tanh(v.g * xg + u.g * hg + b.g)
    o = sigmoid(v.o * xo + u.o * ho + b.o)
    c = f * c + i * n
    h = o * tanh(g * layer_norm(c, eps=eps) + b.c)
    return h, c
