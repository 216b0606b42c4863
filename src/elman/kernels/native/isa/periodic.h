// floor, round, mod, sin and cos on vectors.
//
// With n whole and |r| <= pi / 4, x = n pi/2 + r, and sin x is one of sin r, cos r, -sin r, -cos r by n modulo 4. pi/2 stands in
// parts of so few bits that their products with n are exact (Cody & Waite 1980) up to |x| = `Period::largest`; arguments beyond it,
// infinities and NaN go to libm one by one, where float goes through double.
// Errors: at most 2 units in the last place; tests/kernels/test_math.py measures each function.
#pragma once

#include "isa/math.h"

namespace elman {
namespace {

template <class T>
struct Period;

template <>
struct Period<float> {
    static constexpr float largest = 8192;
    static constexpr int degree = 10;  // of the series
    static constexpr int parts = 5;
    static constexpr float half_pi[parts] = {0x1.92p+0f, 0x1.fb4p-12f, 0x1.444p-24f, 0x1.68cp-39f, 0x1.1a6264p-54f};
};

template <>
struct Period<double> {
    static constexpr double largest = 1048576;
    static constexpr int degree = 18;
    static constexpr int parts = 4;
    static constexpr double half_pi[parts] = {0x1.921fb544p+0, 0x1.0b4611a6p-34, 0x1.3198a2ep-69, 0x1.b839a252049c1p-104};
};

// The nearest whole number, to even where there are two, with the sign of x; from 2^mantissa on all numbers are whole.
template <class T>
ELMAN_INLINE vec<T> round(vec<T> x) {
    constexpr T whole = T(typename Format<T>::word(1) << Format<T>::mantissa);
    const Bits<T> sign = to_bits<T>(x) & sign_bit<T>();
    const vec<T> positive = abs<T>(x);
    return select(positive < whole, from_bits<T>(to_bits<T>((positive + whole) - whole) | sign), x);
}

template <class T>
ELMAN_INLINE vec<T> floor(vec<T> x) {
    const vec<T> near = round<T>(x);
    return select(near > x, near - 1, near);
}

// What is left of a / b rounded down, with the sign of b: exact.
template <class T>
ELMAN_INLINE vec<T> mod(vec<T> a, vec<T> b) {
    for (int i = 0; i < Vector<T>::width; ++i) {
        T rest;
        if constexpr (sizeof(T) == 4)
            rest = __builtin_fmodf(a[i], b[i]);
        else
            rest = __builtin_fmod(a[i], b[i]);
        a[i] = rest != 0 && (rest < 0) != (b[i] < 0) ? rest + b[i] : rest;
    }
    return a;
}

// 1/k! - w/(k+2)! + w^2/(k+4)! - ...
template <class T, int k>
ELMAN_INLINE vec<T> alternating_series(vec<T> w) {
    constexpr T coefficient = T(1 / factorial(k));
    if constexpr (k + 2 > Period<T>::degree)
        return broadcast<T>(coefficient);
    else
        return coefficient - alternating_series<T, k + 2>(w) * w;
}

// sin(x + quarter pi/2) for |x| <= Period::largest
template <class T, int quarter>
ELMAN_INLINE vec<T> turned_sin(vec<T> x) {
    using P = Period<T>;
    constexpr T rounder = Constants<T>::rounder;
    const vec<T> sum = x * T(0.63661977236758134308) + rounder, n = sum - rounder;
    vec<T> r = x;
    for (int k = 0; k < P::parts; ++k) r = r - n * P::half_pi[k];
    const vec<T> w = r * r;
    const vec<T> sine = r - r * (w * alternating_series<T, 3>(w)), cosine = 1 - w * alternating_series<T, 2>(w);
    const Bits<T> turns = to_bits<T>(sum) + typename Format<T>::word(quarter);
    const vec<T> y = select((turns & 1) != 0, cosine, sine);
    return from_bits<T>(to_bits<T>(y) ^ ((turns & 2) << (8 * static_cast<int>(sizeof(T)) - 2)));
}

template <class T, int quarter>
ELMAN_INLINE vec<T> sin_or_cos(vec<T> x) {
    const vec<T> positive = abs<T>(x);
    vec<T> y = turned_sin<T, quarter>(x);
    if (quarter == 0) y = select(x == 0, x, y);  // keeps the sign of -0
    for (int i = 0; i < Vector<T>::width; ++i)
        if (!(positive[i] <= Period<T>::largest)) y[i] = T(quarter ? __builtin_cos(double(x[i])) : __builtin_sin(double(x[i])));
    return y;
}

template <class T>
ELMAN_INLINE vec<T> sin(vec<T> x) {
    return sin_or_cos<T, 0>(x);
}

template <class T>
ELMAN_INLINE vec<T> cos(vec<T> x) {
    return sin_or_cos<T, 1>(x);
}

}  // namespace
}  // namespace elman
