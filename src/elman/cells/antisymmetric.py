"""The cell whose Jacobian neither grows nor shrinks."""

from elman.equations import cell, tanh


@cell(states="h")
def antisymmetric(x, h, W, U, b, *, eps=0.1, gamma=0.1):
    """AntisymmetricRNN: a stable differential equation in Euler steps of size eps with diffusion gamma.

    Reference: Chang, Chen, Haber & Chi 2019, arXiv:1902.09689, the form with diffusion and without a gate.
    """
    h = h + eps * tanh(W @ x + U @ h - U.T @ h - gamma * h + b)
    return h
