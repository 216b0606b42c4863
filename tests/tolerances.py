"""How far results may lie from the truth, in one table, each with its reason.

Distances are max|Δ| / max|reference| over a whole tensor, against a reference in float64: a relative error per element
would ask of a sum that cancels to nearly zero what no arithmetic gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

TOLERANCES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        # Forward and gradients of whole layers. A chain of a few hundred fused multiply-adds rounds to about
        # sqrt(300) * 6e-8 = 1e-6; steps carry it on and the gradient chain doubles it: 3e-5 leaves a factor of ten.
        # In float64 the same count gives 2e-15 a step; 1e-10 is far above that and far below any real mistake.
        # With factors in bfloat16 the reference rounds them too. Where it rounds another way, because its float64 lies
        # on the other side of a tie or because a token or a derived matrix is rounded later or not at all, a factor is
        # off by 2**-8 = 4e-3, of which a sum of products keeps less; 1e-2 leaves room for a few steps.
        "layer": MappingProxyType({"float32": 3e-5, "float64": 1e-10, "bfloat16": 1e-2}),
        # Another instruction set changes how sums over the units (layer norm) and rational approximations are
        # grouped, hence single roundings; steps carry those on like the ones above.
        "instruction_sets": MappingProxyType({"float32": 1e-5, "float64": 1e-13}),
        # One element-wise function: the approximations are good to a few units in the last place.
        "function": MappingProxyType({"float32": 1e-6, "float64": 1e-15}),
        # Central differences in float64 with a step near eps**(1/3) = 6e-6: truncation and cancellation each leave
        # about 1e-10 of the values, divided by the slopes of smooth cells; 1e-6 leaves room for steep ones.
        "finite_differences": MappingProxyType({"float64": 1e-6}),
    }
)


def distance(actual: ArrayLike, reference: ArrayLike) -> float:
    """max|actual - reference| / max|reference|, computed in float64.

    Elements that are not finite must be the same in both; 0.0 where nothing differs, infinite where anything else does.
    """
    a, r = np.asarray(actual, np.float64), np.asarray(reference, np.float64)
    special = ~np.isfinite(r)
    if a.shape != r.shape or not np.array_equal(a[special], r[special], equal_nan=True):
        return float("inf")
    a, r = a[~special], r[~special]
    largest, scale = np.max(np.abs(a - r), initial=0.0), np.max(np.abs(r), initial=0.0)
    if largest == 0.0:
        return 0.0
    return float(largest / scale) if np.isfinite(largest) and scale > 0.0 else float("inf")


def assert_close(actual: ArrayLike, reference: ArrayLike, kind: str, dtype: str, what: str = "result") -> None:
    """Assert that `distance` is within the table's tolerance of this kind for this dtype."""
    limit = TOLERANCES[kind][dtype]
    found = distance(actual, reference)
    assert found <= limit, f"{what}: off by {found:.2e}, {kind} in {dtype} allows {limit:.0e}"


def assert_same_bits(actual: ArrayLike, reference: ArrayLike, what: str = "result") -> None:
    """Assert that two arrays are the same bits, element type, shape, signs of zero and payloads of NaN included."""
    a, r = np.asarray(actual), np.asarray(reference)
    assert (a.dtype, a.shape) == (r.dtype, r.shape), f"{what}: {a.dtype} {a.shape}, expected {r.dtype} {r.shape}"
    differ = np.ascontiguousarray(a).view(f"V{a.itemsize}") != np.ascontiguousarray(r).view(f"V{r.itemsize}")
    assert not differ.any(), f"{what}: {differ.sum()} of {a.size} elements differ, off by {distance(a, r):.2e}"
