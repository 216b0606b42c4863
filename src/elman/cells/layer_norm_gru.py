"""The GRU with normalised pre-activations."""

from elman.equations import cell, layer_norm, sigmoid, tanh


@cell(states="h")
def layer_norm_gru(x, h, W, U, v, u, b, *, eps=1e-5):
    """Gated recurrent unit, layer-normalised.

    The two gates' products of x are normalised jointly, so are those of h; the candidate's are by themselves. v and u
    are the gains, b the biases.
    Reference: Ba, Kiros & Hinton 2016, arXiv:1607.06450, supplementary material (here z keeps, as in the other GRUs).
    """
    xr, xz = layer_norm(W.r @ x, W.z @ x, eps=eps)
    hr, hz = layer_norm(U.r @ h, U.z @ h, eps=eps)
    r = sigmoid(v.r * xr + u.r * hr + b.r)  # what of the past the candidate sees
    z = sigmoid(v.z * xz + u.z * hz + b.z)  # what to keep
    n = tanh(v.n * layer_norm(W.n @ x, eps=eps) + b.n + r * (u.n * layer_norm(U.n @ h, eps=eps) + b.h))
    h = (1 - z) * n + z * h
    return h
