// Cross-entropy of rows of logits, as a plain structure: what the host hands to an instruction-set file.
#pragma once

#include <cstddef>
#include <cstdint>

namespace elman {

// With p = softmax(z) of a row z of `size` logits, target t and smoothing s,
//     losses[row] = -(1 - s) log p_t - s / size * (the sum of log p),
// and where there are scales, the row becomes its gradient: scale * (p - s / size), less scale * (1 - s) at t.
// A row whose target is `ignored` has loss and gradient 0. Targets are 0 ... size - 1 otherwise.
template <class T>
struct CrossEntropy {
    T* logits;  // [rows, stride]: scratch up to a multiple of 64 bytes in each row
    ptrdiff_t stride;
    int64_t rows;
    int32_t size;
    const int64_t* targets;
    int64_t ignored;
    T smoothing;
    const T* scales;  // one for each row, or null
    T* losses;
};

}  // namespace elman
