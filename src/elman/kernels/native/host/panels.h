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

    // Whether they are what a program reads: laid out by the same functions, panel for panel as large.
    template <class T>
    bool fit(const BoundProgram& bound) const {
        return functions_ == &bound.functions<T>() && bytes_ == bound.panel_bytes;
    }

private:
    const void* functions_;
    std::vector<size_t> bytes_;
    std::unique_ptr<Aligned> memory_;
    std::vector<const void*> panels_;
};

// 64 bits that change with any element of the matrices. Views and errors as above.
template <class T>
uint64_t fingerprint(const BoundProgram& bound, const std::vector<MatrixView<T>>& views);

}  // namespace elman
