// bfloat16: the upper half of a float32. Products multiply pairs of them and add up in float32.
//
// A word holds elements k (low half) and k + 1 (high half) of a row, or of a column. The dot product of two words is added by two
// fused multiply-adds, the high halves first: what the processor's own instruction does, to the bit, subnormals flushed.
#pragma once

#include <cstdint>

#include "isa/vector.h"

#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

namespace elman {
namespace {

using Pair = uint32_t;

// Elements of a row in one of the factors F that a product multiplies.
template <class F>
constexpr int kPerFactor = 1;
template <>
inline constexpr int kPerFactor<Pair> = 2;

// Factors that a row of `depth` elements makes.
template <class F>
constexpr int factors(int depth) {
    return (depth + kPerFactor<F> - 1) / kPerFactor<F>;
}

// The nearest bfloat16, ties to even, in the upper half of each element; a NaN stays one.
ELMAN_INLINE vec<Pair> rounded(vec<float> x) {
    const vec<Pair> bits = reinterpret_cast<vec<Pair>>(x), up = bits + (0x7fff + (bits >> 16 & 1));
    return select(x != x, bits | 0x400000, up) & 0xffff0000;
}

ELMAN_INLINE vec<Pair> pairs(vec<float> low, vec<float> high) { return rounded(low) >> 16 | rounded(high); }

// The pairs of neighbours in two vectors that follow each other.
ELMAN_INLINE vec<Pair> neighbours(vec<float> first, vec<float> second) {
#if defined(__AVX512BF16__)
    return reinterpret_cast<vec<Pair>>(_mm512_cvtne2ps_pbh(second, first));
#else
    mask<float> even;
    for (int i = 0; i < Vector<float>::width; ++i) even[i] = 2 * i;
    return pairs(shuffle<float>(first, second, even), shuffle<float>(first, second, even + 1));
#endif
}

// sum + a * b, rounded once; of pairs the sum with both products, rounded twice.
ELMAN_INLINE vec<float> multiply_add(vec<float> sum, vec<float> a, vec<float> b) { return sum + a * b; }

ELMAN_INLINE vec<double> multiply_add(vec<double> sum, vec<double> a, vec<double> b) { return sum + a * b; }

ELMAN_INLINE vec<float> multiply_add(vec<float> sum, vec<Pair> a, vec<Pair> b) {
#if defined(__AVX512BF16__)
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
#else
    sum += reinterpret_cast<vec<float>>(a & 0xffff0000) * reinterpret_cast<vec<float>>(b & 0xffff0000);
    return sum + reinterpret_cast<vec<float>>(a << 16) * reinterpret_cast<vec<float>>(b << 16);
#endif
}

// A row of `depth` elements as pairs; an odd one ends with zero.
inline void round_row(Pair* to, const float* from, int depth) {
    constexpr int width = Vector<float>::width;
    int k = 0;
    for (; k + 2 * width <= depth; k += 2 * width) store<Pair>(to + k / 2, neighbours(load<float>(from + k), load<float>(from + k + width)));
    if (k == depth) return;
    const int rest = depth - k, first = rest < width ? rest : width;
    const vec<Pair> last = neighbours(load_part<float>(from + k, first), load_part<float>(from + k + first, rest - first));
    store_part<Pair>(to + k / 2, last, (rest + 1) / 2);
}

}  // namespace
}  // namespace elman
