// exp, log, tanh, sigmoid, softplus, sqrt and abs on vectors: no tables, no calls, at most one division each.
//
// One core serves the exponentials. With n whole and |r| <= ln2 / 2,
//     x = n ln2 + r,    e^x = 2^n (1 + p),    p = e^r - 1 = r + r^2/2! + r^3/3! + ...
// and one series the logarithms: with z = (m - 1) / (m + 1),
//     log m = 2 atanh(z) = 2 (z + z^3/3 + z^5/5 + ...).
//
// Every lane stands alone: a NaN comes out of the lane it went into and of no other. Infinities give what libm gives.
// Subnormal numbers may count as zero, in and out, whether or not the processor flushes them.
// Errors: at most 3 units in the last place; tests/kernels/test_math.py measures each function.
#pragma once

#include "isa/vector.h"

namespace elman {
namespace {

template <class T>
struct Format;

template <>
struct Format<float> {
    using word = __UINT32_TYPE__;
    static constexpr int mantissa = 23, bias = 127;
    static constexpr int exp_degree = 7, atanh_degree = 9;
    static constexpr float smallest = __FLT_MIN__, largest = __FLT_MAX__, infinity = __builtin_inff();
    // ln2 in two parts, the first with so few bits that its product with any n is exact (Cody & Waite 1980).
    static constexpr float ln2_high = 0x1.63p-1f, ln2_low = -0x1.bd0106p-13f;
};

template <>
struct Format<double> {
    using word = __UINT64_TYPE__;
    static constexpr int mantissa = 52, bias = 1023;
    static constexpr int exp_degree = 13, atanh_degree = 21;
    static constexpr double smallest = __DBL_MIN__, largest = __DBL_MAX__, infinity = __builtin_inf();
    static constexpr double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
};

template <class T>
struct Constants : Format<T> {
    using F = Format<T>;
    static constexpr T ln2 = T(0.69314718055994530942);
    static constexpr T sqrt2 = T(1.41421356237309504880);
    // Added to a number of moderate size, it leaves the nearest whole number in the lowest bits of the sum.
    static constexpr T rounder = T(3) * T(typename F::word(1) << (F::mantissa - 1));
};

template <class T>
using Bits = typename Vector<typename Format<T>::word>::type;

template <class T>
ELMAN_INLINE Bits<T> to_bits(vec<T> x) {
    return reinterpret_cast<Bits<T>>(x);
}

template <class T>
ELMAN_INLINE vec<T> from_bits(Bits<T> x) {
    return reinterpret_cast<vec<T>>(x);
}

template <class T>
ELMAN_INLINE Bits<T> sign_bit() {
    return to_bits<T>(broadcast<T>(T(-0.0)));
}

// Bounds on x that let a NaN through, because a comparison with it is false.
template <class T>
ELMAN_INLINE vec<T> at_least(vec<T> x, T low) {
    return select(low > x, broadcast<T>(low), x);
}

template <class T>
ELMAN_INLINE vec<T> at_most(vec<T> x, T high) {
    return select(high < x, broadcast<T>(high), x);
}

// x = n ln2 + r with |r| <= ln2 / 2, for |x| < 2000; the scale is 2^(n + shift), and n + shift in [-bias, bias + 1],
// where the ends give 0 and infinity.
template <class T>
struct Reduced {
    vec<T> n, r, scale;
};

template <class T, int shift = 0>
ELMAN_INLINE Reduced<T> reduce(vec<T> x) {
    using C = Constants<T>;
    constexpr T rounder = C::rounder + T(C::bias + shift);
    const vec<T> sum = x * (1 / C::ln2) + rounder;
    const vec<T> n = sum - rounder;
    const vec<T> r = (x - n * C::ln2_high) - n * C::ln2_low;
    return {n, r, from_bits<T>(to_bits<T>(sum) << C::mantissa)};
}

constexpr double factorial(int k) { return k < 2 ? 1.0 : k * factorial(k - 1); }

// 1/k! + r/(k+1)! + r^2/(k+2)! + ..., to the degree that the format needs
template <class T, int k>
ELMAN_INLINE vec<T> exp_series(vec<T> r) {
    constexpr T coefficient = T(1 / factorial(k));
    if constexpr (k == Format<T>::exp_degree)
        return broadcast<T>(coefficient);
    else
        return exp_series<T, k + 1>(r) * r + coefficient;
}

// e^r - 1 for |r| <= ln2 / 2
template <class T>
ELMAN_INLINE vec<T> expm1_core(vec<T> r) {
    return (r * r) * exp_series<T, 2>(r) + r;
}

// 1/k + w/(k+2) + w^2/(k+4) + ...
template <class T, int k>
ELMAN_INLINE vec<T> atanh_series(vec<T> w) {
    constexpr T coefficient = T(1.0 / k);
    if constexpr (k == Format<T>::atanh_degree)
        return broadcast<T>(coefficient);
    else
        return atanh_series<T, k + 2>(w) * w + coefficient;
}

// log(1 + f) for 1 + f in [sqrt(1/2), sqrt2], given 2z = 2f / (2 + f): unlike z it does not vanish before f does
template <class T>
ELMAN_INLINE vec<T> log_core(vec<T> twice) {
    const vec<T> w = twice * twice * T(0.25);
    return (twice * w) * atanh_series<T, 3>(w) + twice;
}

template <class T>
ELMAN_INLINE vec<T> abs(vec<T> x) {
    return from_bits<T>(to_bits<T>(x) & ~sign_bit<T>());
}

template <class T>
ELMAN_INLINE vec<T> sqrt(vec<T> x) {
    for (int i = 0; i < Vector<T>::width; ++i)  // becomes one instruction
        if constexpr (sizeof(T) == 4)
            x[i] = __builtin_sqrtf(x[i]);
        else
            x[i] = __builtin_sqrt(x[i]);
    return x;
}

// 2^n (1 + p), with 2^n as two factors: at either end one alone would leave the range of exponents.
template <class T>
ELMAN_INLINE vec<T> exp(vec<T> x) {
    using C = Constants<T>;
    constexpr T low = -(C::bias + C::mantissa + 3) * C::ln2, high = (C::bias + 2) * C::ln2;
    constexpr T rounder = C::rounder + T(C::bias);
    const Reduced<T> e = reduce<T>(at_most<T>(at_least<T>(x, low), high));
    const vec<T> half = e.n * T(0.5) + rounder, rest = (e.n - (half - rounder)) + rounder;
    const vec<T> first = from_bits<T>(to_bits<T>(half) << C::mantissa);
    const vec<T> second = from_bits<T>(to_bits<T>(rest) << C::mantissa);
    return ((expm1_core<T>(e.r) + 1) * first) * second;
}

// 1 / (1 + e^-x) as (1/2) / (1/2 + 2^(n-1) (1 + p)): halved, so that the largest e^-x is no infinity before its time.
template <class T>
ELMAN_INLINE vec<T> sigmoid(vec<T> x) {
    using C = Constants<T>;
    constexpr T low = -(C::bias - 1) * C::ln2, high = (C::bias + 2) * C::ln2;
    const Reduced<T> e = reduce<T, -1>(at_most<T>(at_least<T>(-x, low), high));
    return T(0.5) / ((expm1_core<T>(e.r) + 1) * e.scale + T(0.5));
}

// sign(x) E / (E + 2) with E = e^(2|x|) - 1 = 2^n p + (2^n - 1); past the limit it is 1 to the last bit.
template <class T>
ELMAN_INLINE vec<T> tanh(vec<T> x) {
    using C = Constants<T>;
    const Bits<T> sign = to_bits<T>(x) & sign_bit<T>();
    const vec<T> positive = abs<T>(x);
    const Reduced<T> e = reduce<T>(at_most<T>(positive + positive, (C::mantissa + 6) * C::ln2));
    const vec<T> expm1 = expm1_core<T>(e.r) * e.scale + (e.scale - 1);
    return from_bits<T>(to_bits<T>(expm1 / (expm1 + 2)) | sign);
}

// x = 2^k m with m in [sqrt(1/2), sqrt2): log x = k ln2 + log m
template <class T>
ELMAN_INLINE vec<T> log(vec<T> x) {
    using C = Constants<T>;
    using word = typename C::word;
    constexpr word one = word(C::bias) << C::mantissa;
    const Bits<T> root = to_bits<T>(broadcast<T>(C::sqrt2 / 2));
    const Bits<T> offset = to_bits<T>(x) - root + one;  // biased: k + bias stands above the mantissa
    const Bits<T> exponent = offset >> C::mantissa;
    const vec<T> m = from_bits<T>((offset & ((word(1) << C::mantissa) - 1)) + root);
    const vec<T> k = from_bits<T>(exponent + to_bits<T>(broadcast<T>(C::rounder))) - (C::rounder + T(C::bias));
    vec<T> y = k * C::ln2_high + (log_core<T>(2 * (m - 1) / (m + 1)) + k * C::ln2_low);
    y = select(x < C::smallest, broadcast<T>(-C::infinity), y);
    y = select(x < 0, broadcast<T>(T(__builtin_nan(""))), y);
    return select(x <= C::largest, y, x);  // else x is infinite or a NaN: itself
}

// max(x, 0) + log(1 + u) with u = e^-|x|. Where 1 + u > sqrt2, it is log 2 + log((1 + u) / 2).
template <class T>
ELMAN_INLINE vec<T> softplus(vec<T> x) {
    using C = Constants<T>;
    const vec<T> negative = from_bits<T>(to_bits<T>(x) | sign_bit<T>());
    const Reduced<T> e = reduce<T>(at_least<T>(negative, -C::bias * C::ln2));
    const vec<T> u = (expm1_core<T>(e.r) + 1) * e.scale;
    const vec<T> one = select(u > C::sqrt2 - 1, broadcast<T>(1), broadcast<T>(0));
    const vec<T> top = u - one;
    const vec<T> log1p = one * C::ln2 + log_core<T>(2 * top / (top + (2 * one + 2)));
    return select(x > 0, x, broadcast<T>(0)) + log1p;
}

}  // namespace
}  // namespace elman
