// Waiting by spinning, for at most some tens of microseconds.
#pragma once

#if defined(__x86_64__) || defined(__i386__)
#include <xmmintrin.h>
#endif

namespace elman {

constexpr int spin_rounds = 2000;

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
    _mm_pause();
#elif defined(__aarch64__)
    asm volatile("isb");
#endif
}

// Spins until done() holds or patience ends; returns whether it holds.
template <class Done>
bool spin_until(Done done) {
    for (int round = 0; round < spin_rounds; ++round) {
        if (done()) return true;
        pause();
    }
    return done();
}

}  // namespace elman
