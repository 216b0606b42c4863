"""Cells of papers that are not built in, each written once in equations and once, independently, in torch.

A step of torch takes the weights by full name, the inputs [B, size] and the states, and returns the output and the next
states; what is learned past a value is given by an autograd function of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from elman import (
    abs,
    block_diagonal,
    cell,
    cos,
    exp,
    log,
    maximum,
    mean,
    minimum,
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
from elman.equations import Cell

Weights = Mapping[str, Any]
Outcome = tuple[Any, dict[str, Any]]
Step = Callable[..., Outcome]


@dataclass(frozen=True)
class Paper:
    """A cell, its equations in torch, and the sizes of its letters."""

    cell: Cell
    step: Step
    sizes: Mapping[str, int] = field(default_factory=dict)
    hidden: int = 6


@cell(states="h", parameters="W.down:R U.down:R zeta:1 nu:1")
def fast_grnn(x, h, W, U, b, zeta, nu):
    """Kusupati et al. 2018, arXiv:1901.02358, equation 3, with W and U of rank R."""
    a = W.up @ (W.down @ x) + U.up @ (U.down @ h)
    z = sigmoid(a + b.z)
    return (sigmoid(zeta) * (1 - z) + sigmoid(nu)) * tanh(a + b.h) + z * h


def _fast_grnn(w: Weights, x: Any, h: Any) -> Outcome:
    a = x @ (w["W.up"] @ w["W.down"]).T + h @ (w["U.up"] @ w["U.down"]).T
    z = torch.sigmoid(a + w["b.z"])
    new = (torch.sigmoid(w["zeta"]) * (1 - z) + torch.sigmoid(w["nu"])) * torch.tanh(a + w["b.h"]) + z * h
    return new, {"h": new}


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


def _lmu(w: Weights, x: Any, h: Any, m: Any) -> Outcome:
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


def _co_rnn(w: Weights, x: Any, y: Any, z: Any) -> Outcome:
    force = torch.tanh(y @ w["W.y"].T + z @ w["W.z"].T + x @ w["V"].T + w["b"])
    z = z * (1 - 0.1 * 0.75) + 0.1 * force - 0.1 * 1.5 * y
    y = y + 0.1 * z
    return y, {"y": y, "z": z}


@cell(inputs="x dt:1", states="h", parameters="W.x:K")
def cfc(x, dt, h, W, b, F, d):
    """Hasani et al. 2022, arXiv:2106.13898, equation 10, on a backbone of K units."""
    k = 1.7159 * tanh(0.666 * (W.x @ x + W.h @ h + b))
    t = sigmoid(-(F.a @ k + d.a) * dt + F.b @ k + d.b)
    return tanh(F.f @ k + d.f) * t + tanh(F.g @ k + d.g) * (1 - t)


def _cfc(w: Weights, x: Any, dt: Any, h: Any) -> Outcome:
    k = 1.7159 * torch.tanh(0.666 * (torch.cat([x, h], -1) @ torch.cat([w["W.x"], w["W.h"]], -1).T + w["b"]))
    a, b, f, g = (k @ w[f"F.{name}"].T + w[f"d.{name}"] for name in "abfg")
    t = torch.sigmoid(b - a * dt)
    new = torch.lerp(torch.tanh(g), torch.tanh(f), t)
    return new, {"h": new}


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


def _rwkv(w: Weights, x: Any, a: Any, b: Any, p: Any) -> Outcome:
    k, v, r = (x @ w[f"W.{name}"].T for name in "kvr")
    top, bottom = a * torch.exp(p), b * torch.exp(p)  # as they would be without the shift
    bonus = torch.exp(w["u"] + k)
    y = (torch.sigmoid(r) * (top + bonus * v) / (bottom + bonus)) @ w["O"].T
    decay = torch.exp(-torch.nn.functional.softplus(w["w"]))
    q = torch.maximum(p - torch.nn.functional.softplus(w["w"]), k)
    top, bottom = decay * top + torch.exp(k) * v, decay * bottom + torch.exp(k)
    return y, {"a": top * torch.exp(-q), "b": bottom * torch.exp(-q), "p": q}


@cell(states="h c")
def mi_lstm(x, h, c, W, U, alpha, beta, b):
    """Wu et al. 2016, arXiv:1606.06630: multiplicative integration, α Wx ⊙ Uh + β1 Uh + β2 Wx + b, in every gate."""

    def gate(W, U, alpha, left, right, b):
        return alpha * (W @ x) * (U @ h) + left * (U @ h) + right * (W @ x) + b

    i = sigmoid(gate(W.i, U.i, alpha.i, beta.i1, beta.i2, b.i))
    f = sigmoid(gate(W.f, U.f, alpha.f, beta.f1, beta.f2, b.f))
    o = sigmoid(gate(W.o, U.o, alpha.o, beta.o1, beta.o2, b.o))
    c = f * c + i * tanh(gate(W.z, U.z, alpha.z, beta.z1, beta.z2, b.z))
    return o * tanh(c), c


def _mi_lstm(w: Weights, x: Any, h: Any, c: Any) -> Outcome:
    def gate(n: str) -> Any:
        left, right = x @ w[f"W.{n}"].T, h @ w[f"U.{n}"].T
        return (w[f"alpha.{n}"] * left + w[f"beta.{n}1"]) * right + w[f"beta.{n}2"] * left + w[f"b.{n}"]

    c = torch.sigmoid(gate("f")) * c + torch.sigmoid(gate("i")) * torch.tanh(gate("z"))
    new = torch.sigmoid(gate("o")) * torch.tanh(c)
    return new, {"h": new, "c": c}


@cell(states="h c", parameters="U:H,S")
def multi_head_lstm(x, h, c, W, U, b):
    """Beck et al. 2024, arXiv:2405.04517: recurrent matrices are block-diagonal, heads of S units."""
    i = sigmoid(W.i @ x + block_diagonal(U.i) @ h + b.i)
    f = sigmoid(W.f @ x + block_diagonal(U.f) @ h + b.f)
    g = tanh(W.g @ x + block_diagonal(U.g) @ h + b.g)
    o = sigmoid(W.o @ x + block_diagonal(U.o) @ h + b.o)
    c = f * c + i * g
    return o * tanh(c), c


def _multi_head_lstm(w: Weights, x: Any, h: Any, c: Any) -> Outcome:
    def gate(n: str) -> Any:
        heads = h.unflatten(-1, (-1, w[f"U.{n}"].shape[1]))
        mixed = torch.einsum("bks,kus->bku", heads, w[f"U.{n}"].unflatten(0, (heads.shape[1], -1))).flatten(1)
        return x @ w[f"W.{n}"].T + mixed + w[f"b.{n}"]

    c = torch.sigmoid(gate("f")) * c + torch.sigmoid(gate("i")) * torch.tanh(gate("g"))
    new = torch.sigmoid(gate("o")) * torch.tanh(c)
    return new, {"h": new, "c": c}


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


def _lif(w: Weights, x: Any, s: Any, v: Any) -> Outcome:
    v = torch.sigmoid(w["beta"]) * v * (1 - s) + x @ w["W"].T + s @ w["U"].T
    s = _Spike.apply(v - 0.25)
    return s, {"s": s, "v": v}


PERIODS = [1.0, 1.0, 2.0, 2.0, 4.0, 4.0]


@cell(inputs="x t:1", states="h", constants={"period": PERIODS})
def clockwork(x, t, h, period, W, U, b):
    """Koutník et al. 2014, arXiv:1402.3511, equation 1: a unit moves at the steps that its period divides."""
    return where(t % period < 0.5, tanh(W @ x + U @ h + b), h)


def _clockwork(w: Weights, x: Any, t: Any, h: Any) -> Outcome:
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


def _unitary(w: Weights, x: Any, a: Any, b: Any) -> Outcome:
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


def _skip_rnn(w: Weights, x: Any, h: Any, u: Any) -> Outcome:
    moves = u + (torch.round(u) - u).detach()
    new = moves * torch.tanh(x @ w["W"].T + h @ w["U"].T + w["b"]) + (1 - moves) * h
    du = torch.sigmoid(new @ w["p.h"].T + w["p.b"])
    u = moves * du + (1 - moves) * (u + torch.minimum(du, 1 - u))
    return new, {"h": new, "u": u}


@cell(states="c p:D", output="h")
def qrnn(x, c, p, W, V, b):
    """Bradbury et al. 2017, arXiv:1611.01576, equations 1 to 4: fo-pooling over windows of two inputs."""
    z = tanh(W.z @ x + V.z @ p + b.z)
    f = sigmoid(W.f @ x + V.f @ p + b.f)
    o = sigmoid(W.o @ x + V.o @ p + b.o)
    c = f * c + (1 - f) * z
    return c, x, o * c


def _qrnn(w: Weights, x: Any, c: Any, p: Any) -> Outcome:
    window = torch.cat([x, p], -1)
    z, f, o = (window @ torch.cat([w[f"W.{n}"], w[f"V.{n}"]], -1).T + w[f"b.{n}"] for n in "zfo")
    c = torch.lerp(torch.tanh(z), c, torch.sigmoid(f))
    return torch.sigmoid(o) * c, {"c": c, "p": x}


@cell(states="w", parameters="g:1 s:1 k:1", start={"w": 0.2})
def turing_head(x, w, K, g, s, k):
    """Graves, Wayne & Danihelka 2014, arXiv:1410.5401, equations 7 to 9: a head that interpolates, shifts, sharpens."""
    gate, sharp = sigmoid(g @ x), 1 + softplus(k @ x)
    mixed = gate * softmax(K @ x) + (1 - gate) * w
    left, stay, right = exp(s.l @ x), exp(s.s @ x), exp(s.r @ x)
    moved = (left * shift(mixed, -1) + stay * mixed + right * shift(mixed, 1)) / (left + stay + right)
    w = exp(sharp * log(moved + 1e-6))
    return w / sum(w)


def _turing_head(w: Weights, x: Any, *, previous: Any) -> Outcome:
    gate, sharp = torch.sigmoid(x @ w["g"].T), 1 + torch.nn.functional.softplus(x @ w["k"].T)
    mixed = gate * torch.softmax(x @ w["K"].T, -1) + (1 - gate) * previous
    way = torch.softmax(torch.cat([x @ w[f"s.{n}"].T for n in "lsr"], -1), -1)
    moved = way[:, :1] * mixed.roll(-1, -1) + way[:, 1:2] * mixed + way[:, 2:] * mixed.roll(1, -1)
    new = (moved + 1e-6) ** sharp
    new = new / new.sum(-1, keepdim=True)
    return new, {"w": new}


@cell(states="h")
def rg_lru(x, h, W, b, decay):
    """De et al. 2024, arXiv:2402.19427, equations 1 to 4: the real-gated linear recurrent unit."""
    r, i = sigmoid(W.r @ x + b.r), sigmoid(W.i @ x + b.i)
    a = exp(-8 * r * softplus(decay))
    return a * h + sqrt(1 - a * a) * (i * (W.x @ x))


def _rg_lru(w: Weights, x: Any, h: Any) -> Outcome:
    r, i = (torch.sigmoid(x @ w[f"W.{n}"].T + w[f"b.{n}"]) for n in "ri")
    a = torch.sigmoid(-w["decay"]) ** (8 * r)
    new = a * h + torch.sqrt(-torch.expm1(2 * torch.log(a))) * i * (x @ w["W.x"].T)
    return new, {"h": new}


@cell(states="h", parameters="tau:1")
def rms_elu(x, h, W, U, g, tau, *, eps=1e-5):
    """An Elman network of ELUs (Clevert et al. 2016) on an RMS norm (Zhang & Sennrich 2019) with a leak."""
    a = W @ x + U @ h
    a = g * a / sqrt(mean(a * a) + eps)
    leak = sigmoid(tau)
    return (1 - leak) * h + leak * where(a > 0, a, exp(a) - 1)


def _rms_elu(w: Weights, x: Any, h: Any) -> Outcome:
    a = torch.nn.functional.rms_norm(x @ w["W"].T + h @ w["U"].T, [6], w["g"], 1e-5)
    new = torch.lerp(h, torch.nn.functional.elu(a), torch.sigmoid(w["tau"]))
    return new, {"h": new}


PAPERS = {
    paper.cell.name: paper
    for paper in (
        Paper(fast_grnn, _fast_grnn, {"R": 2}),
        Paper(lmu, _lmu),
        Paper(co_rnn, _co_rnn),
        Paper(cfc, _cfc, {"K": 7}),
        Paper(rwkv, _rwkv, {"Y": 3}),
        Paper(mi_lstm, _mi_lstm),
        Paper(multi_head_lstm, _multi_head_lstm, {"S": 2}),
        Paper(lif, _lif),
        Paper(clockwork, _clockwork),
        Paper(unitary, _unitary),
        Paper(skip_rnn, _skip_rnn),
        Paper(qrnn, _qrnn),
        Paper(turing_head, lambda weights, x, w: _turing_head(weights, x, previous=w)),
        Paper(rg_lru, _rg_lru),
        Paper(rms_elu, _rms_elu),
    )
}
