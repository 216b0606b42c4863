// Memory on cache lines: of an object, and the scratch of a thread.
#pragma once

#include <cstddef>
#include <new>

namespace elman {

// Memory on a boundary of 64 bytes.
struct Aligned {
    explicit Aligned(size_t bytes) : memory(static_cast<char*>(operator new(bytes ? bytes : 1, std::align_val_t(64)))) {}
    ~Aligned() { operator delete(memory, std::align_val_t(64)); }
    Aligned(const Aligned&) = delete;
    Aligned& operator=(const Aligned&) = delete;
    char* memory;
};

// Scratch memory of the calling thread, kept for its next call; null where there is none left. Every thread has its own, so
// that callers on several threads never meet in it. While `poison` is on it is filled with NaN first.
void* workspace(size_t bytes) noexcept;
void poison(bool on);

}  // namespace elman
