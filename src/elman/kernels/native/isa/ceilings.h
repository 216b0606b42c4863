// What the machine gives at most: loops that do one thing, to measure everything else by.
#pragma once

#include <cstddef>
#include <cstdint>

namespace elman {

struct Ceilings {
    // `rounds` of fused multiply-adds of float32 in registers; returns how many operations these were, two for each.
    int64_t (*multiply_add)(int64_t rounds);
    // The same for dot products of bfloat16 summed in float32; 0 where this instruction set has none.
    int64_t (*dot_bfloat16)(int64_t rounds);
    // Loads `bytes` from `memory` (aligned to 64, a multiple of 1024) `rounds` times.
    void (*read)(const void* memory, ptrdiff_t bytes, int64_t rounds);
};

}  // namespace elman

#if defined(ELMAN_VECTOR_BYTES)  // the loops themselves, in an instruction-set file

#include "isa/bfloat16.h"

namespace elman {
namespace {

// As many chains as keep two units of latency four (x86) or four of latency four (ARM) busy, and fit the registers; in rows,
// because compilers keep small arrays alone in registers.
#if ELMAN_VECTOR_BYTES == 64 || defined(__aarch64__)
constexpr int kChainRows = 8;
#else
constexpr int kChainRows = 4;
#endif
constexpr int kChains = 3 * kChainRows;

// What the compiler must compute and cannot see through.
template <class V>
ELMAN_INLINE void keep(V& value) {
#if defined(__x86_64__)
    asm volatile("" : "+v"(value));
#elif defined(__aarch64__)
    asm volatile("" : "+w"(value));
#else
    asm volatile("" : "+m"(value));
#endif
}

int64_t ceiling_multiply_add(int64_t rounds) {
    vec<float> sum[kChainRows][3], half = broadcast(0.5f);
    keep(half);
    for (auto& row : sum)
        for (auto& chain : row) keep(chain = half);  // one by one, so that no chain is known to be another
    for (int64_t i = 0; i < rounds; ++i)
        for (auto& row : sum)
            for (auto& chain : row) chain = chain * half + half;  // goes to 1: nothing subnormal, nothing infinite
    for (auto& row : sum)
        for (auto& chain : row) keep(chain);
    return rounds * kChains * Vector<float>::width * 2;
}

#if defined(__AVX512BF16__)
int64_t ceiling_dot_bfloat16(int64_t rounds) {
    vec<float> sum[kChainRows][3];
    for (auto& row : sum)
        for (auto& chain : row) keep(chain = vec<float>{});
    const vec<Pair> small = broadcast<Pair>(0x3c003c00);  // 2^-7, twice
    for (int64_t i = 0; i < rounds; ++i)
        for (auto& row : sum)
            for (auto& chain : row) chain = multiply_add(chain, small, small);
    for (auto& row : sum)
        for (auto& chain : row) keep(chain);
    return rounds * kChains * 32 * 2;
}
#else
int64_t ceiling_dot_bfloat16(int64_t) { return 0; }
#endif

void ceiling_read(const void* memory, ptrdiff_t bytes, int64_t rounds) {
    constexpr int chains = 8, width = Vector<float>::width;
    const float* begin = static_cast<const float*>(memory);
    const float* end = begin + bytes / static_cast<ptrdiff_t>(sizeof(float));
    for (int64_t i = 0; i < rounds; ++i)
        for (const float* p = begin; p < end; p += chains * width)
            for (int j = 0; j < chains; ++j) {
                vec<float> loaded = load(p + j * width);
                keep(loaded);
            }
}

}  // namespace
}  // namespace elman

#endif
