"""One step of every built-in cell once more, written from the paper it cites, for one sequence and with plain numpy.

Each takes the input and the states by their names in the cell, and the parameters as `w["W.i"]`; it returns the output
and the next states. The papers' names stand beside the equations where they differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Vector = Any
Weights = Mapping[str, Any]
Step = Callable[..., tuple[Vector, dict[str, Vector]]]


def sigma(v: Vector) -> Vector:
    """The logistic function."""
    return 1.0 / (1.0 + np.exp(-v))


def affine(w: Weights, gate: str, x: Vector, h: Vector) -> Vector:
    """W x + U h + b of one gate."""
    return w[f"W.{gate}"].dot(x) + w[f"U.{gate}"].dot(h) + w[f"b.{gate}"]


def elman(w: Weights, x: Vector, h: Vector) -> tuple[Vector, dict[str, Vector]]:
    """Elman 1990: context units hold the hidden units' last values."""
    new = np.tanh(w["W"].dot(x) + w["U"].dot(h) + w["b"])
    return new, {"h": new}


def elman_relu(w: Weights, x: Vector, h: Vector) -> tuple[Vector, dict[str, Vector]]:
    """Le, Jaitly & Hinton 2015, section 2."""
    new = np.maximum(0.0, w["W"].dot(x) + w["U"].dot(h) + w["b"])
    return new, {"h": new}


def lstm(w: Weights, x: Vector, h: Vector, c: Vector) -> tuple[Vector, dict[str, Vector]]:
    """Gers, Schmidhuber & Cummins 2000, in today's form: no peepholes, tanh twice."""
    i, f, o = (sigma(affine(w, gate, x, h)) for gate in "ifo")
    memory = f * c + i * np.tanh(affine(w, "g", x, h))
    new = o * np.tanh(memory)
    return new, {"h": new, "c": memory}


def gru(w: Weights, x: Vector, h: Vector) -> tuple[Vector, dict[str, Vector]]:
    """Cho et al. 2014, version 1: h~ = tanh(W x + r ⊙ (U h)); the biases are cuDNN's, two for the candidate."""
    r, z = sigma(affine(w, "r", x, h)), sigma(affine(w, "z", x, h))
    candidate = np.tanh(w["W.n"].dot(x) + w["b.n"] + r * (w["U.n"].dot(h) + w["d.n"]))
    new = z * h + (1.0 - z) * candidate
    return new, {"h": new}


def gru_reset_before(w: Weights, x: Vector, h: Vector) -> tuple[Vector, dict[str, Vector]]:
    """Cho et al. 2014, version 3, equations 5 to 8: h~ = tanh(W x + U (r ⊙ h))."""
    r, z = sigma(affine(w, "r", x, h)), sigma(affine(w, "z", x, h))
    candidate = np.tanh(affine(w, "n", x, r * h))
    new = z * h + (1.0 - z) * candidate
    return new, {"h": new}


def peephole_lstm(w: Weights, x: Vector, h: Vector, c: Vector) -> tuple[Vector, dict[str, Vector]]:
    """Graves 2013, equations 7 to 11: W_ci, W_cf and W_co are diagonal, and the output gate sees the new cell."""
    i = sigma(affine(w, "i", x, h) + w["p.i"] * c)
    f = sigma(affine(w, "f", x, h) + w["p.f"] * c)
    memory = f * c + i * np.tanh(affine(w, "g", x, h))
    o = sigma(affine(w, "o", x, h) + w["p.o"] * memory)
    new = o * np.tanh(memory)
    return new, {"h": new, "c": memory}


def projected_lstm(w: Weights, x: Vector, h: Vector, c: Vector) -> tuple[Vector, dict[str, Vector]]:
    """Sak, Senior & Beaufays 2014: what feeds back is r = W_rm m, with m the cell's usual output; no peepholes."""
    m, states = lstm(w, x, h, c)
    r = w["R"].dot(m)
    return r, {"h": r, "c": states["c"]}


def coupled_lstm(w: Weights, x: Vector, h: Vector, c: Vector) -> tuple[Vector, dict[str, Vector]]:
    """Greff et al. 2017, CIFG: the input gate is 1 - f."""
    f, o = sigma(affine(w, "f", x, h)), sigma(affine(w, "o", x, h))
    i = 1.0 - f
    memory = f * c + i * np.tanh(affine(w, "g", x, h))
    new = o * np.tanh(memory)
    return new, {"h": new, "c": memory}


def janet(w: Weights, x: Vector, h: Vector, beta: float = 1.0) -> tuple[Vector, dict[str, Vector]]:
    """Van der Westhuizen & Lasenby 2018: c = σ(s) ⊙ c + (1 - σ(s - β)) ⊙ c~, h = c."""
    s = affine(w, "f", x, h)
    new = sigma(s) * h + (1.0 - sigma(s - beta)) * np.tanh(affine(w, "g", x, h))
    return new, {"h": new}


def layer_norm(a: Vector, eps: float) -> Vector:
    """Ba, Kiros & Hinton 2016, equation 3, the gain and bias left to the caller."""
    mu = sum(a) / len(a)
    return (a - mu) / np.sqrt(sum((a - mu) ** 2) / len(a) + eps)


def layer_norm_lstm(w: Weights, x: Vector, h: Vector, c: Vector, eps: float = 1e-5) -> tuple[Vector, dict[str, Vector]]:
    """Ba, Kiros & Hinton 2016, equations 20 to 22: LN(W_h h; α1, β1) + LN(W_x x; α2, β2) + b, and LN(c; α3, β3)."""
    gates = "ifgo"
    from_x = layer_norm(np.concatenate([w[f"W.{gate}"].dot(x) for gate in gates]), eps)
    from_h = layer_norm(np.concatenate([w[f"U.{gate}"].dot(h) for gate in gates]), eps)
    alpha_x, alpha_h, b = (np.concatenate([w[f"{group}.{gate}"] for gate in gates]) for group in "vub")
    i, f, g, o = np.split(alpha_x * from_x + alpha_h * from_h + b, 4)
    memory = sigma(f) * c + sigma(i) * np.tanh(g)
    new = sigma(o) * np.tanh(w["g"] * layer_norm(memory, eps) + w["b.c"])
    return new, {"h": new, "c": memory}


def indrnn(w: Weights, x: Vector, h: Vector) -> tuple[Vector, dict[str, Vector]]:
    """Li et al. 2018: h = σ(W x + u ⊙ h + b) with σ the rectifier."""
    new = np.maximum(0.0, w["W"].dot(x) + w["u"] * h + w["b"])
    return new, {"h": new}


def positive(v: Vector) -> Vector:
    """Feng et al. 2024, the log-space version: g(x) = x + 0.5 where x >= 0, else σ(x)."""
    return np.array([e + 0.5 if e >= 0 else sigma(e) for e in v])


def min_gru(w: Weights, x: Vector, h: Vector) -> tuple[Vector, dict[str, Vector]]:
    """Feng et al. 2024, minGRU: z and h~ from x alone."""
    z = sigma(w["W.z"].dot(x) + w["b.z"])
    new = (1.0 - z) * h + z * positive(w["W.n"].dot(x) + w["b.n"])
    return new, {"h": new}


def min_lstm(w: Weights, x: Vector, h: Vector) -> tuple[Vector, dict[str, Vector]]:
    """Feng et al. 2024, minLSTM: f' = f / (f + i), i' = i / (f + i)."""
    f, i = (sigma(w[f"W.{gate}"].dot(x) + w[f"b.{gate}"]) for gate in "fi")
    new = f / (f + i) * h + i / (f + i) * positive(w["W.n"].dot(x) + w["b.n"])
    return new, {"h": new}


def leaky_elman(w: Weights, x: Vector, dt: Vector, h: Vector) -> tuple[Vector, dict[str, Vector]]:
    """dh/dt = (u - h) / tau with u = tanh(W x + U h + b) held, integrated in many short Runge-Kutta steps."""
    u = np.tanh(w["W"].dot(x) + w["U"].dot(h) + w["b"])
    tau = np.log1p(np.exp(w["t"]))
    steps = 1000
    length = dt / steps
    for _ in range(steps):
        k1 = (u - h) / tau
        k2 = (u - (h + length / 2 * k1)) / tau
        k3 = (u - (h + length / 2 * k2)) / tau
        k4 = (u - (h + length * k3)) / tau
        h = h + length / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return h, {"h": h}


def antisymmetric(
    w: Weights, x: Vector, h: Vector, eps: float = 0.1, gamma: float = 0.1
) -> tuple[Vector, dict[str, Vector]]:
    """Chang, Chen, Haber & Chi 2019: h + ε tanh((W_h - W_h' - γ I) h + V x + b)."""
    m = w["U"] - w["U"].T - gamma * np.eye(len(h))
    new = h + eps * np.tanh(m.dot(h) + w["W"].dot(x) + w["b"])
    return new, {"h": new}


def slstm(w: Weights, x: Vector, h: Vector, c: Vector, n: Vector, m: Vector) -> tuple[Vector, dict[str, Vector]]:
    """Beck et al. 2024, equations 8 to 17, the stabilised ones, with f = σ(f~)."""
    log_i = affine(w, "i", x, h)
    log_f = np.log(sigma(affine(w, "f", x, h)))
    z, o = np.tanh(affine(w, "z", x, h)), sigma(affine(w, "o", x, h))
    m_new = np.maximum(log_f + m, log_i)
    i, f = np.exp(log_i - m_new), np.exp(log_f + m - m_new)
    c_new = f * c + i * z
    n_new = f * n + i
    h_new = o * (c_new / n_new)
    return h_new, {"h": h_new, "c": c_new, "n": n_new, "m": m_new}


def layer_norm_gru(w: Weights, x: Vector, h: Vector, eps: float = 1e-5) -> tuple[Vector, dict[str, Vector]]:
    """Ba, Kiros & Hinton 2016, the GRU: (z; r) = LN(W_h h; α1) + LN(W_x x; α2), h~ = tanh(LN(W x) + σ(r) LN(U h))."""
    from_x = layer_norm(np.concatenate([w["W.r"].dot(x), w["W.z"].dot(x)]), eps)
    from_h = layer_norm(np.concatenate([w["U.r"].dot(h), w["U.z"].dot(h)]), eps)
    alpha_x, alpha_h, b = (np.concatenate([w[f"{group}.{gate}"] for gate in "rz"]) for group in "vub")
    r, z = np.split(sigma(alpha_x * from_x + alpha_h * from_h + b), 2)
    recurrent = w["u.n"] * layer_norm(w["U.n"].dot(h), eps) + w["b.h"]
    candidate = np.tanh(w["v.n"] * layer_norm(w["W.n"].dot(x), eps) + w["b.n"] + r * recurrent)
    new = z * h + (1.0 - z) * candidate
    return new, {"h": new}


def sru(w: Weights, x: Vector, c: Vector) -> tuple[Vector, dict[str, Vector]]:
    """Lei et al. 2018, equations 1 to 4."""
    f, r = (sigma(w[f"W.{gate}"].dot(x) + w[f"v.{gate}"] * c + w[f"b.{gate}"]) for gate in "fr")
    memory = f * c + (1.0 - f) * w["W.c"].dot(x)
    return r * memory + (1.0 - r) * w["W.h"].dot(x), {"c": memory}


def multiplicative_lstm(w: Weights, x: Vector, h: Vector, c: Vector) -> tuple[Vector, dict[str, Vector]]:
    """Krause et al. 2016: an LSTM on m = W_mx x ⊙ W_mh h."""
    return lstm(w, x, w["W.m"].dot(x) * w["U.m"].dot(h), c)


STEPS: dict[str, Step] = {
    step.__name__: step
    for step in (
        elman, elman_relu, lstm, gru, gru_reset_before, peephole_lstm, projected_lstm, coupled_lstm, janet,
        layer_norm_lstm, indrnn, min_gru, min_lstm, leaky_elman, antisymmetric, slstm, layer_norm_gru, sru,
        multiplicative_lstm,
    )
}  # fmt: skip
