"""Cells whose news is in their gates, matrices and norms."""

from __future__ import annotations

from typing import Any

import torch

from elman import block_diagonal, cell, exp, mean, sigmoid, softmax, softplus, sqrt, tanh, where
from tests.cells.written.paper import Outcome, Weights


@cell(states="h", parameters="W.down:R U.down:R zeta:1 nu:1")
def fast_grnn(x, h, W, U, b, zeta, nu):
    """Kusupati et al. 2018, arXiv:1901.02358, equation 3, with W and U of rank R."""
    a = W.up @ (W.down @ x) + U.up @ (U.down @ h)
    z = sigmoid(a + b.z)
    return (sigmoid(zeta) * (1 - z) + sigmoid(nu)) * tanh(a + b.h) + z * h


def fast_grnn_in_torch(w: Weights, x: Any, h: Any) -> Outcome:
    a = x @ (w["W.up"] @ w["W.down"]).T + h @ (w["U.up"] @ w["U.down"]).T
    z = torch.sigmoid(a + w["b.z"])
    new = (torch.sigmoid(w["zeta"]) * (1 - z) + torch.sigmoid(w["nu"])) * torch.tanh(a + w["b.h"]) + z * h
    return new, {"h": new}


@cell(inputs="x dt:1", states="h", parameters="W.x:K")
def cfc(x, dt, h, W, b, F, d):
    """Hasani et al. 2022, arXiv:2106.13898, equation 10, on a backbone of K units."""
    k = 1.7159 * tanh(0.666 * (W.x @ x + W.h @ h + b))
    t = sigmoid(-(F.a @ k + d.a) * dt + F.b @ k + d.b)
    return tanh(F.f @ k + d.f) * t + tanh(F.g @ k + d.g) * (1 - t)


def cfc_in_torch(w: Weights, x: Any, dt: Any, h: Any) -> Outcome:
    k = 1.7159 * torch.tanh(0.666 * (torch.cat([x, h], -1) @ torch.cat([w["W.x"], w["W.h"]], -1).T + w["b"]))
    a, b, f, g = (k @ w[f"F.{name}"].T + w[f"d.{name}"] for name in "abfg")
    t = torch.sigmoid(b - a * dt)
    new = torch.lerp(torch.tanh(g), torch.tanh(f), t)
    return new, {"h": new}


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


def mi_lstm_in_torch(w: Weights, x: Any, h: Any, c: Any) -> Outcome:
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


def multi_head_lstm_in_torch(w: Weights, x: Any, h: Any, c: Any) -> Outcome:
    def gate(n: str) -> Any:
        heads = h.unflatten(-1, (-1, w[f"U.{n}"].shape[1]))
        mixed = torch.einsum("bks,kus->bku", heads, w[f"U.{n}"].unflatten(0, (heads.shape[1], -1))).flatten(1)
        return x @ w[f"W.{n}"].T + mixed + w[f"b.{n}"]

    c = torch.sigmoid(gate("f")) * c + torch.sigmoid(gate("i")) * torch.tanh(gate("g"))
    new = torch.sigmoid(gate("o")) * torch.tanh(c)
    return new, {"h": new, "c": c}


@cell(states="c p:D", output="h")
def qrnn(x, c, p, W, V, b):
    """Bradbury et al. 2017, arXiv:1611.01576, equations 1 to 4: fo-pooling over windows of two inputs."""
    z = tanh(W.z @ x + V.z @ p + b.z)
    f = sigmoid(W.f @ x + V.f @ p + b.f)
    o = sigmoid(W.o @ x + V.o @ p + b.o)
    c = f * c + (1 - f) * z
    return c, x, o * c


def qrnn_in_torch(w: Weights, x: Any, c: Any, p: Any) -> Outcome:
    window = torch.cat([x, p], -1)
    z, f, o = (window @ torch.cat([w[f"W.{n}"], w[f"V.{n}"]], -1).T + w[f"b.{n}"] for n in "zfo")
    c = torch.lerp(torch.tanh(z), c, torch.sigmoid(f))
    return torch.sigmoid(o) * c, {"c": c, "p": x}


@cell(states="h")
def rg_lru(x, h, W, b, decay):
    """De et al. 2024, arXiv:2402.19427, equations 1 to 4: the real-gated linear recurrent unit."""
    r, i = sigmoid(W.r @ x + b.r), sigmoid(W.i @ x + b.i)
    a = exp(-8 * r * softplus(decay))
    return a * h + sqrt(1 - a * a) * (i * (W.x @ x))


def rg_lru_in_torch(w: Weights, x: Any, h: Any) -> Outcome:
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


def rms_elu_in_torch(w: Weights, x: Any, h: Any) -> Outcome:
    a = torch.nn.functional.rms_norm(x @ w["W"].T + h @ w["U"].T, [6], w["g"], 1e-5)
    new = torch.lerp(h, torch.nn.functional.elu(a), torch.sigmoid(w["tau"]))
    return new, {"h": new}


CHUNKS = 3  # of two units each
SUMS = [[float(j <= i) for j in range(CHUNKS)] for i in range(CHUNKS)]
UNITS = [[float(j == i // 2) for j in range(CHUNKS)] for i in range(2 * CHUNKS)]


@cell(states="h c", constants={"L": SUMS, "E": UNITS})
def on_lstm(x, h, c, L, E, W, U, b):
    """Shen et al. 2019, arXiv:1810.09536, equations 6 to 14: master gates are cumulative sums of a softmax."""
    forget = E @ (L @ softmax(W.mf @ x + U.mf @ h + b.mf))
    write = E @ (1 - L @ softmax(W.mi @ x + U.mi @ h + b.mi))
    i = sigmoid(W.i @ x + U.i @ h + b.i)
    f = sigmoid(W.f @ x + U.f @ h + b.f)
    g = tanh(W.g @ x + U.g @ h + b.g)
    o = sigmoid(W.o @ x + U.o @ h + b.o)
    both = forget * write
    c = (f * both + forget - both) * c + (i * both + write - both) * g
    return o * tanh(c), c


def on_lstm_in_torch(w: Weights, x: Any, h: Any, c: Any) -> Outcome:
    gate = lambda n: x @ w[f"W.{n}"].T + h @ w[f"U.{n}"].T + w[f"b.{n}"]  # noqa: E731
    forget = torch.softmax(gate("mf"), -1).cumsum(-1).repeat_interleave(2, -1)
    write = 1 - torch.softmax(gate("mi"), -1).cumsum(-1).repeat_interleave(2, -1)
    both = forget * write
    f, i = (torch.sigmoid(gate(n)) * both + m - both for n, m in (("f", forget), ("i", write)))
    c = f * c + i * torch.tanh(gate("g"))
    new = torch.sigmoid(gate("o")) * torch.tanh(c)
    return new, {"h": new, "c": c}


@cell(states="h c", parameters="Q.a:K R.a:K")
def mogrifier(x, h, c, Q, R, W, U, b):
    """Melis, Kočiský & Blunsom 2020, arXiv:1909.01792, two rounds with Q and R of low rank, then an LSTM."""
    x = 2 * sigmoid(Q.b @ (Q.a @ h)) * x
    h = 2 * sigmoid(R.b @ (R.a @ x)) * h
    i = sigmoid(W.i @ x + U.i @ h + b.i)
    f = sigmoid(W.f @ x + U.f @ h + b.f)
    o = sigmoid(W.o @ x + U.o @ h + b.o)
    c = f * c + i * tanh(W.g @ x + U.g @ h + b.g)
    return o * tanh(c), c


def mogrifier_in_torch(w: Weights, x: Any, h: Any, c: Any) -> Outcome:
    x = x * (2 * torch.sigmoid(h @ (w["Q.b"] @ w["Q.a"]).T))
    h = h * (2 * torch.sigmoid(x @ (w["R.b"] @ w["R.a"]).T))
    i, f, g, o = (x @ w[f"W.{n}"].T + h @ w[f"U.{n}"].T + w[f"b.{n}"] for n in "ifgo")
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    new = torch.sigmoid(o) * torch.tanh(c)
    return new, {"h": new, "c": c}
