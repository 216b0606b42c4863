// The table of operations that the pointwise program is made of: a row is all that the kernels know of one.
//
// X(enumerator, name, operands, vectors at a time, value): `name` is what Python calls it, and `value` an expression of the
// vectors a, b and c over a type T. What takes many instructions goes one vector at a time, so that the registers suffice.
// elman/equations/graph/operations.py has the same names and numbers of operands; loading the extension compares the two.
#pragma once

#define ELMAN_OPERATIONS(X)                                               \
    X(kAdd, "add", 2, 4, a + b)                                           \
    X(kSub, "sub", 2, 4, a - b)                                           \
    X(kMul, "mul", 2, 4, a * b)                                           \
    X(kDiv, "div", 2, 4, a / b)                                           \
    X(kCopy, "copy", 1, 4, a)                                             \
    X(kNeg, "neg", 1, 4, -a)                                              \
    X(kRelu, "relu", 1, 4, select(a < 0, vec<T>{}, a))                    \
    X(kAbs, "abs", 1, 4, abs<T>(a))                                       \
    X(kSigmoid, "sigmoid", 1, 1, sigmoid<T>(a))                           \
    X(kTanh, "tanh", 1, 1, tanh<T>(a))                                    \
    X(kExp, "exp", 1, 1, exp<T>(a))                                       \
    X(kLog, "log", 1, 1, log<T>(a))                                       \
    X(kSoftplus, "softplus", 1, 1, softplus<T>(a))                        \
    X(kSqrt, "sqrt", 1, 1, sqrt<T>(a))                                    \
    X(kMinimum, "minimum", 2, 4, vmin(a, b))                              \
    X(kMaximum, "maximum", 2, 4, vmax(a, b))                              \
    X(kGreater, "greater", 2, 4, one_or_zero<T>(a > b))                      \
    X(kGreaterEqual, "greater_equal", 2, 4, one_or_zero<T>(a >= b))          \
    X(kWhere, "where", 3, 4, select(a != 0, b, c))                        \
    X(kMultiplyAdd, "fma", 3, 4, a * b + c) /* rounded once */            \
    X(kMultiplySub, "fms", 3, 4, a * b - c)                               \
    X(kNegMultiplyAdd, "fnma", 3, 4, c - a * b)                           \
    X(kSin, "sin", 1, 1, sin<T>(a))                                       \
    X(kCos, "cos", 1, 1, cos<T>(a))                                       \
    X(kFloor, "floor", 1, 4, floor<T>(a))                                 \
    X(kRound, "round", 1, 4, round<T>(a))                                 \
    X(kMod, "mod", 2, 1, mod<T>(a, b))
