// The matrices of a bound program as its tiles read them, and a number that tells whether they still are what they were.
#pragma once

#include <memory>
#include <vector>

#include "host/bound.h"
#include "host/workspace.h"

namespace elman {

// The panels of a program's matrices, packed for its precision and instruction set.
class Panels {
public:
    // Views by panel and product, in the program's order. Throws std::invalid_argument where they are too many or too few.
    template <class T>
    Panels(const BoundProgram& bound, const std::vector<MatrixView<T>>& views, int threads = 1);
    const void* const* panels() const { return panels_.data(); }

private:
    std::unique_ptr<Aligned> memory_;
    std::vector<const void*> panels_;
};

// 64 bits that change with any element of the matrices.
template <class T>
uint64_t fingerprint(const BoundProgram& bound, const std::vector<MatrixView<T>>& views);

}  // namespace elman
