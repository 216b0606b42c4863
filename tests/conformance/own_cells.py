"""Cells that only these tests know: what the built-in ones leave out of the language."""

from __future__ import annotations

from elman import (
    abs,
    block_diagonal,
    cell,
    cos,
    dot,
    exp,
    floor,
    layer_norm,
    log,
    maximum,
    mean,
    minimum,
    mod,
    relu,
    round,
    shift,
    sigmoid,
    sin,
    softmax,
    softplus,
    sqrt,
    step,
    straight_through,
    tanh,
    where,
)  # fmt: skip

HIPPO = [[-1.0, 0.5, -0.25], [-1.5, -0.5, 0.5], [-1.0, -1.0, -0.25]]


@cell(states="h c")
def user_layer_norm_lstm(x, h, c, W, U, g, b):
    """Another layer-normalised LSTM than the built-in one: each gate by itself, its products summed before."""
    i = sigmoid(g.i * layer_norm(W.i @ x + U.i @ h) + b.i)
    f = sigmoid(g.f * layer_norm(W.f @ x + U.f @ h) + b.f)
    n = tanh(g.n * layer_norm(W.n @ x + U.n @ h) + b.n)
    o = sigmoid(g.o * layer_norm(W.o @ x + U.o @ h) + b.o)
    c = f * c + i * n
    h = o * tanh(g.c * layer_norm(c) + b.c)
    return h, c


@cell(states="h")
def stages(x, h, W, U, V, b):
    """A product of what a product made, twice, and once through a transpose."""
    r = sigmoid(W.r @ x + U.r @ h + b.r)
    q = tanh(U.q @ (r * h) + V.q @ x)
    n = tanh(W.n @ x + U.q.T @ (r * q) + b.n)
    h = 0.75 * h + 0.25 * n
    return h


@cell(states="h:P c", output="y:H")
def readout(x, h, c, W, U, V, R, b):
    """The output is no state, and the state that feeds back has a size of its own."""
    f = sigmoid(W.f @ x + U.f @ h + b.f)
    c = f * c + (1 - f) * tanh(W.c @ x + U.c @ h)
    h = tanh(R @ c)
    y = V.c @ c * sigmoid(V.h @ h + b.y)
    return h, c, y


@cell(states="h m", start={"h": 0.5, "m": -2.0})
def warm(x, h, m, W, U, V, b):
    """States that do not begin at zero."""
    h = tanh(W @ x + U @ h + V @ m + b)
    m = 0.9 * m + 0.1 * h
    return h, m


@cell(inputs="x dt:1 gain:1", states="h s:1", start={"s": 1.0})
def scalars(x, dt, gain, h, s, W, U, b):
    """Inputs and a state that are numbers, not vectors."""
    s = s + dt * (gain - s)
    h = h + dt * (tanh(gain * (W @ x) + U @ h + b) - s * h)
    return h, s


@cell(inputs="x z:D", states="h p:D e", output="y")
def delay(x, z, h, p, e, W, U, V):
    """A state that is the last input, one that is never written, and an output that is a state before the step."""
    y = h + e
    h = tanh(W.x @ x + W.z @ z + V @ p + U @ h)
    return h, x, e, y


@cell(inputs="x:H", states="h")
def smoothing(x, h, w):
    """No product at all."""
    h = sigmoid(w) * h + (1 - sigmoid(w)) * x
    return h


@cell(states="h")
def every_operation(x, h, W, u, v, b):
    """What the other cells leave out."""
    a = W.a @ x + u.a * h + b.a
    e = sqrt(1 + a * a) - log(1 + exp(-abs(a))) + softplus(b.e - W.e @ x)
    s = where(e > 1.5, minimum(e, 3.0), maximum(u.s * h, -0.5) / (1 + abs(v)))
    h = relu(s) - 0.5 * tanh(h + layer_norm(v * a, eps=0.1)) * sigmoid(e)
    return h


@cell(states="h", parameters="W.down:R U.down:R V.in_:K zeta:1 nu:1")
def low_rank(x, h, W, U, V, b, zeta, nu):
    """Matrices of rank R, a bottleneck of K units, and two scalars that are learned."""
    z = sigmoid(W.up @ (W.down @ x) + U.up @ (U.down @ h) + b.z)
    n = tanh(V.out @ relu(V.in_ @ x + V.back @ h + b.k) + b.n)
    return (zeta * (1 - z) + nu) * n + z * h


@cell(states="h m:M", parameters="U:H,S", constants={"A": HIPPO, "B": [[1.0], [-1.0], [1.0]], "p": [1.0, 0.5, 0.25]})
def of_all_units(x, h, m, A, B, p, W, U, V, e):
    """Heads, constant arrays, and every operation that takes all units or a number apart."""
    u = e @ x + mean(h)
    m = 0.5 * (A @ m) + B @ u + p * sin(m)
    a = W.a @ x + block_diagonal(U.a) @ h + W.m @ m
    n = tanh(shift(a, 1) - a + dot(a, h) / (1 + dot(h, h))) + 0.1 * mod(a, 0.75) + 0.1 * floor(3 * a) * cos(a)
    s = straight_through(step(a), sigmoid(a)) * softmax(V @ n) + 0.1 * round(2 * a)
    h = 0.5 * shift(h, -2) + s + where(n > 0, n, exp(n) - 1) * (block_diagonal(U.b).T @ h)
    return h, m


OWN = (
    user_layer_norm_lstm, stages, readout, warm, scalars, delay, smoothing, every_operation, low_rank, of_all_units,
)  # fmt: skip
