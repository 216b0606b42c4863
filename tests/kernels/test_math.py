"""The vectors of the kernels, and their exp, log, tanh … against libm, on every instruction set that runs here.

The bounds leave little above the largest errors of a run over every seventh float32 number and two million doubles
(generic and AVX-512): exp 1.05, log 1.96, tanh 2.48, sigmoid 2.47, softplus 2.80, sqrt 0.5, abs 0.
"""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable
from platform import machine

import pytest

MOST_ULP = {"exp": 1.25, "log": 2.25, "tanh": 3.0, "sigmoid": 3.0, "softplus": 3.0, "sqrt": 0.5, "abs": 0.0,
            "sin": 2.0, "cos": 2.0, "floor": 0.0, "round": 0.0}  # fmt: skip
# What CMakeLists.txt compiles for this kind of machine; one that the machine at hand does not run is skipped.
X86 = ["generic", "avx2", "avx512", "avx512_bf16"]
COMPILED = {"x86_64": X86, "aarch64": ["neon"], "arm64": ["neon"]}.get(machine(), ["generic"])
EPSILON = {"float": 2.0**-23, "double": 2.0**-52}
SMALLEST = {"float": 2.0**-126, "double": 2.0**-1022}


@pytest.fixture(scope="module", params=COMPILED)
def flags(request, available, isa_flags) -> tuple[str, ...]:
    """The compiler's flags for one instruction set."""
    if request.param not in available:
        pytest.skip(f"this machine does not run {request.param}")
    return isa_flags[request.param]


@pytest.fixture(scope="module")
def measured(build, flags):
    """What math_check says for one instruction set."""
    program = build("math_check.cc", flags=flags)
    done = subprocess.run([str(program), "1009", "50000"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("dtype", ["float", "double"])
@pytest.mark.parametrize("name", MOST_ULP)
def test_error_is_bounded(measured, dtype, name):
    found = measured[dtype][name]
    assert float.fromhex(found["ulp"]) <= MOST_ULP[name], f"at {float.fromhex(found['at'])}"


@pytest.mark.parametrize("dtype", ["float", "double"])
@pytest.mark.parametrize("name", MOST_ULP)
def test_a_nan_stays_in_its_lane(measured, dtype, name):
    assert measured[dtype][name]["nan_stays"]


def exact(name: str, x: float) -> float:
    """The function in the manner of libm: infinities and NaN instead of exceptions."""
    if math.isnan(x):
        return x
    match name:
        case "exp":
            return math.exp(x) if x < 700 else math.inf
        case "log":
            return math.nan if x < 0 else -math.inf if x == 0 else math.log(x)
        case "sigmoid":
            return 1 / (1 + math.exp(-x)) if x > -700 else 0.0
        case "softplus":
            return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
        case "sqrt":
            return math.nan if x < 0 else math.sqrt(x)
        case _:
            return PLAIN[name](x)


def _periodic(function: Callable[[float], float]) -> Callable[[float], float]:
    return lambda x: math.nan if math.isinf(x) else function(x)


def _whole(function: Callable[[float], int]) -> Callable[[float], float]:
    return lambda x: x if math.isinf(x) else math.copysign(float(function(x)), x)


PLAIN: dict[str, Callable[[float], float]] = {
    "tanh": math.tanh, "abs": abs, "sin": _periodic(math.sin), "cos": _periodic(math.cos), "floor": _whole(math.floor),
    "round": _whole(round),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float", "double"])
@pytest.mark.parametrize("name", MOST_ULP)
def test_special_values(measured, dtype, name):
    for point, value in measured[dtype][name]["special"].items():
        x, got = float.fromhex(point), float.fromhex(value)
        wanted = [exact(name, x)]
        if abs(x) < SMALLEST[dtype]:
            wanted.append(exact(name, 0.0))  # a subnormal number may count as zero
        assert any(agrees(got, want, dtype) for want in wanted), f"{name}({x}) is {got}, not {wanted}"


def agrees(got: float, want: float, dtype: str) -> bool:
    """Equal to a few units in the last place; exactly, with its sign, where the value is 0, 1 or infinite."""
    if math.isnan(want):
        return math.isnan(got)
    if want == 0 or abs(want) == 1 or math.isinf(want):
        return got == want and math.copysign(1, got) == math.copysign(1, want)
    return abs(got - want) <= 3 * EPSILON[dtype] * abs(want) or (
        abs(want) < SMALLEST[dtype] and abs(got) < SMALLEST[dtype]
    )


def test_flush_to_zero_leaves_the_control_word_as_it_was(measured):
    assert measured["guard_restores"]


def test_vectors(build, flags):
    done = subprocess.run([build("vector_check.cc", flags=flags)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
