"""The Elman cell in continuous time."""

from elman.equations import cell, exp, softplus, tanh


@cell(inputs="x dt:1", states="h")
def leaky_elman(x, dt, h, W, U, b, t):
    """Leaky integrator units with a time constant each, stepped exactly over dt.

    dh/dt = (tanh(W x + U h + b) - h) / tau, the drive held for the length dt of the step; tau = softplus(t).
    Reference: Funahashi & Nakamura 1993, Neural Networks 6(6); the exponential step: Hochbruck & Ostermann 2010.
    """
    a = exp(-dt / softplus(t))
    h = a * h + (1 - a) * tanh(W @ x + U @ h + b)
    return h
