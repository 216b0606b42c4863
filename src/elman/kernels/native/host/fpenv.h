// The floating-point environment of a kernel: subnormal numbers are flushed to zero while it runs.
#pragma once

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace elman {
namespace {

// Sets flush-to-zero and subnormals-are-zero on this thread, and puts the control word back bit for bit, its status
// flags too. The compiler knows nothing of that word and may move arithmetic across its change: keep the guard in the
// caller, with the kernel behind a call that is not inlined.
class FlushToZero {
public:
    FlushToZero() : before_(read()) { write(before_ | flush); }
    ~FlushToZero() { write(before_); }
    FlushToZero(const FlushToZero&) = delete;
    FlushToZero& operator=(const FlushToZero&) = delete;

private:
#if defined(__SSE__)
    using Word = unsigned int;
    static constexpr Word flush = 1u << 15 | 1u << 6;  // FTZ, DAZ
    static Word read() { return _mm_getcsr(); }
    static void write(Word word) { _mm_setcsr(word); }
#elif defined(__aarch64__)
    using Word = unsigned long long;
    static constexpr Word flush = 1ull << 24;  // FZ, inputs and outputs
    static Word read() {
        Word word;
        asm volatile("mrs %0, fpcr" : "=r"(word));
        return word;
    }
    static void write(Word word) { asm volatile("msr fpcr, %0" : : "r"(word)); }
#else
    using Word = int;  // nothing to set: subnormal numbers are only slower
    static constexpr Word flush = 0;
    static Word read() { return 0; }
    static void write(Word) {}
#endif

    Word before_;
};

}  // namespace
}  // namespace elman
