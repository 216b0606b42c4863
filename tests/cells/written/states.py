"""Cells whose news is in what they keep and how it moves."""

from __future__ import annotations

from typing import Any

import torch

from elman import (
    abs,
    cell,
    cos,
    exp,
    log,
    maximum,
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
    sum,
    tanh,
    where,
)  # fmt: skip
from tests.cells.written.paper import Outcome, Weights

ORDER = 4  # of the Legendre polynomials
LEGENDRE = [[(2 * i + 1) * (-1 if i < j else (-1) ** (i - j + 1)) / 8 for j in range(ORDER)] for i in range(ORDER)]
LEGENDRE_INPUT = [[(2 * i + 1) * (-1) ** i / 8] for i in range(ORDER)]


@cell(states="h m:M", constants={"A": LEGENDRE, "B": LEGENDRE_INPUT})
def lmu(x, h, m, A, B, W, e):
    """Voelker, Kajić & Eliasmith 2019, equations 1 to 6, by Euler's rule with dt / θ = 1/8."""
    u = e.x @ x + e.h @ h + e.m @ m
    m = m + A @ m + B @ u
    h = tanh(W.x @ x + W.h @ h + W.m @ m)
    return h, m


def lmu_in_torch(w: Weights, x: Any, h: Any, m: Any) -> Outcome:
    u = x @ w["e.x"].T + h @ w["e.h"].T + m @ w["e.m"].T
    a, b = torch.tensor(LEGENDRE, dtype=x.dtype), torch.tensor(LEGENDRE_INPUT, dtype=x.dtype)
    m = m @ (torch.eye(ORDER, dtype=x.dtype) + a).T + u * b[:, 0]
    new = torch.tanh(x @ w["W.x"].T + h @ w["W.h"].T + m @ w["W.m"].T)
    return new, {"h": new, "m": m}


@cell(states="y z")
def co_rnn(x, y, z, V, W, b, *, dt=0.1, gamma=1.5, eps=0.75):
    """Rusch & Mishra 2021, arXiv:2010.00951, equation 3: coupled oscillators, y and its velocity z."""
    z = z + dt * (tanh(W.y @ y + W.z @ z + V @ x + b) - gamma * y - eps * z)
    return y + dt * z, z


def co_rnn_in_torch(w: Weights, x: Any, y: Any, z: Any) -> Outcome:
    force = torch.tanh(y @ w["W.y"].T + z @ w["W.z"].T + x @ w["V"].T + w["b"])
    z = z * (1 - 0.1 * 0.75) + 0.1 * force - 0.1 * 1.5 * y
    y = y + 0.1 * z
    return y, {"y": y, "z": z}


@cell(states="a b p", start={"p": -30.0}, output="y:Y")
def rwkv(x, a, b, p, W, O, w, u):
    """Peng et al. 2023, arXiv:2305.13048, time mixing (equations 14 and 15) in its stable form of appendix D."""
    k, v, r = W.k @ x, W.v @ x, W.r @ x
    q = maximum(p, u + k)
    now = (exp(p - q) * a + exp(u + k - q) * v) / (exp(p - q) * b + exp(u + k - q))
    y = O @ (sigmoid(r) * now)
    decayed = p - softplus(w)
    q = maximum(decayed, k)
    a = exp(decayed - q) * a + exp(k - q) * v
    b = exp(decayed - q) * b + exp(k - q)
    return a, b, q, y


def rwkv_in_torch(w: Weights, x: Any, a: Any, b: Any, p: Any) -> Outcome:
    k, v, r = (x @ w[f"W.{name}"].T for name in "kvr")
    top, bottom = a * torch.exp(p), b * torch.exp(p)  # as they would be without the shift
    bonus = torch.exp(w["u"] + k)
    y = (torch.sigmoid(r) * (top + bonus * v) / (bottom + bonus)) @ w["O"].T
    decay = torch.exp(-torch.nn.functional.softplus(w["w"]))
    q = torch.maximum(p - torch.nn.functional.softplus(w["w"]), k)
    top, bottom = decay * top + torch.exp(k) * v, decay * bottom + torch.exp(k)
    return y, {"a": top * torch.exp(-q), "b": bottom * torch.exp(-q), "p": q}


@cell(states="s v", parameters="beta:1")
def lif(x, s, v, W, U, beta, *, slope=5.0):
    """Zenke & Ganguli 2018, arXiv:1705.11146: leaky integrate-and-fire, the gradient of a fast sigmoid."""
    v = sigmoid(beta) * v * (1 - s) + W @ x + U @ s
    over = v - 0.25
    s = straight_through(step(over), over / (1 + slope * abs(over)))
    return s, v


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, over: Any) -> Any:
        ctx.save_for_backward(over)
        return (over > 0).to(over.dtype)

    @staticmethod
    def backward(ctx: Any, d: Any) -> Any:
        (over,) = ctx.saved_tensors
        return d / (1 + 5.0 * over.abs()) ** 2


def lif_in_torch(w: Weights, x: Any, s: Any, v: Any) -> Outcome:
    v = torch.sigmoid(w["beta"]) * v * (1 - s) + x @ w["W"].T + s @ w["U"].T
    s = _Spike.apply(v - 0.25)
    return s, {"s": s, "v": v}


PERIODS = [1.0, 1.0, 2.0, 2.0, 4.0, 4.0]


@cell(inputs="x t:1", states="h", constants={"period": PERIODS})
def clockwork(x, t, h, period, W, U, b):
    """Koutník et al. 2014, arXiv:1402.3511, equation 1: a unit moves at the steps that its period divides."""
    return where(t % period < 0.5, tanh(W @ x + U @ h + b), h)


def clockwork_in_torch(w: Weights, x: Any, t: Any, h: Any) -> Outcome:
    due = torch.remainder(t, torch.tensor(PERIODS, dtype=x.dtype)) == 0
    new = torch.where(due, torch.tanh(x @ w["W"].T + h @ w["U"].T + w["b"]), h)
    return new, {"h": new}


@cell(states="a b", start={"a": 0.5})
def unitary(x, a, b, W, w, d):
    """Arjovsky, Shah & Bengio 2016, arXiv:1511.06464: rotations, a permutation, modReLU; a + ib is the state."""
    real = cos(w) * a - sin(w) * b
    imaginary = sin(w) * a + cos(w) * b
    real, imaginary = shift(real, 1) + W.a @ x, shift(imaginary, 1) + W.b @ x
    size = sqrt(real * real + imaginary * imaginary + 1e-6)
    scale = relu(size + d) / size
    return real * scale, imaginary * scale


def unitary_in_torch(w: Weights, x: Any, a: Any, b: Any) -> Outcome:
    z = torch.complex(a, b) * torch.polar(torch.ones_like(w["w"]), w["w"])
    order = [5, 0, 1, 2, 3, 4]
    z = z[:, order] + torch.complex(x @ w["W.a"].T, x @ w["W.b"].T)
    size = torch.sqrt(z.real**2 + z.imag**2 + 1e-6)
    z = z * (torch.relu(size + w["d"]) / size)
    return z.real, {"a": z.real, "b": z.imag}


@cell(states="h u:1", start={"u": 1.0})
def skip_rnn(x, h, u, W, U, b, p):
    """Campos et al. 2018, arXiv:1708.06834, equations 2 to 6: whether the state moves is a rounded probability."""
    moves = straight_through(round(u), u)
    new = moves * tanh(W @ x + U @ h + b) + (1 - moves) * h
    du = sigmoid(p.h @ new + p.b)
    u = moves * du + (1 - moves) * (u + minimum(du, 1 - u))
    return new, u


def skip_rnn_in_torch(w: Weights, x: Any, h: Any, u: Any) -> Outcome:
    moves = u + (torch.round(u) - u).detach()
    new = moves * torch.tanh(x @ w["W"].T + h @ w["U"].T + w["b"]) + (1 - moves) * h
    du = torch.sigmoid(new @ w["p.h"].T + w["p.b"])
    u = moves * du + (1 - moves) * (u + torch.minimum(du, 1 - u))
    return new, {"h": new, "u": u}


@cell(states="w", parameters="g:1 s:1 k:1", start={"w": 0.2})
def turing_head(x, w, K, g, s, k):
    """Graves, Wayne & Danihelka 2014, arXiv:1410.5401, equations 7 to 9: a head that interpolates, shifts, sharpens."""
    gate, sharp = sigmoid(g @ x), 1 + softplus(k @ x)
    mixed = gate * softmax(K @ x) + (1 - gate) * w
    left, stay, right = exp(s.l @ x), exp(s.s @ x), exp(s.r @ x)
    moved = (left * shift(mixed, -1) + stay * mixed + right * shift(mixed, 1)) / (left + stay + right)
    w = exp(sharp * log(moved + 1e-6))
    return w / sum(w)


def turing_head_in_torch(w: Weights, x: Any, *, previous: Any) -> Outcome:
    gate, sharp = torch.sigmoid(x @ w["g"].T), 1 + torch.nn.functional.softplus(x @ w["k"].T)
    mixed = gate * torch.softmax(x @ w["K"].T, -1) + (1 - gate) * previous
    way = torch.softmax(torch.cat([x @ w[f"s.{n}"].T for n in "lsr"], -1), -1)
    moved = way[:, :1] * mixed.roll(-1, -1) + way[:, 1:2] * mixed + way[:, 2:] * mixed.roll(1, -1)
    new = (moved + 1e-6) ** sharp
    new = new / new.sum(-1, keepdim=True)
    return new, {"w": new}


RESERVOIR = [[0.9 * ((3 * i + 5 * j) % 7 - 3) / 6 for j in range(6)] for i in range(6)]
RESERVOIR_INPUT = [[((2 * i + 3 * j) % 5 - 2) / 2 for j in range(5)] for i in range(6)]


@cell(states="h", output="y:Y", constants={"A": RESERVOIR, "B": RESERVOIR_INPUT})
def echo_state(x, h, A, B, R, *, leak=0.3):
    """Jaeger et al. 2007, equations 1 and 2: leaky units whose matrices are drawn once; a readout is learned."""
    h = (1 - leak) * h + leak * tanh(A @ h + B @ x)
    return h, R @ h


def echo_state_in_torch(w: Weights, x: Any, h: Any) -> Outcome:
    a, b = torch.tensor(RESERVOIR, dtype=x.dtype), torch.tensor(RESERVOIR_INPUT, dtype=x.dtype)
    h = torch.lerp(h, torch.tanh(h @ a.T + x @ b.T), 0.3)
    return h @ w["R"].T, {"h": h}


@cell(inputs="x t:1", states="h c")
def phased_lstm(x, t, h, c, W, U, b, tau, s, *, ratio=0.4, leak=0.01):
    """Neil, Pfeiffer & Liu 2016, arXiv:1610.09513, equations 5 to 11: a gate that time opens and closes."""
    phase = mod(t - s, exp(tau)) / exp(tau)
    k = where(phase < ratio / 2, 2 * phase / ratio, where(phase < ratio, 2 - 2 * phase / ratio, leak * phase))
    i = sigmoid(W.i @ x + U.i @ h + b.i)
    f = sigmoid(W.f @ x + U.f @ h + b.f)
    o = sigmoid(W.o @ x + U.o @ h + b.o)
    new = f * c + i * tanh(W.g @ x + U.g @ h + b.g)
    return k * o * tanh(new) + (1 - k) * h, k * new + (1 - k) * c


def phased_lstm_in_torch(w: Weights, x: Any, t: Any, h: Any, c: Any) -> Outcome:
    cycles = (t - w["s"]) / torch.exp(w["tau"])
    phase = cycles - torch.floor(cycles).detach()
    k = torch.where(phase < 0.4, 1 - (1 - phase / 0.2).abs(), 0.01 * phase)
    i, f, g, o = (x @ w[f"W.{n}"].T + h @ w[f"U.{n}"].T + w[f"b.{n}"] for n in "ifgo")
    new = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h, c = torch.lerp(h, torch.sigmoid(o) * torch.tanh(new), k), torch.lerp(c, new, k)
    return h, {"h": h, "c": c}
