// What crosses from Python: frozen values that say where memory lies, checked where they are made, and plans, which hold theirs.
//
// An address is a number, and whether there is memory at one that is not 0 cannot be seen from here: elman.kernels and its
// callers see to that. Everything else is refused with std::invalid_argument, a ValueError in Python.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "host/bound.h"

namespace elman {

inline void require(bool holds, const char* otherwise) {
    if (!holds) throw std::invalid_argument(otherwise);
}

template <class P>
P* at(int64_t address) {
    return reinterpret_cast<P*>(static_cast<intptr_t>(address));
}

struct Weight {
    Weight(int64_t address, int64_t row_stride, int64_t column_stride);
    template <class T>
    MatrixView<T> view() const {
        return {at<const T>(address), static_cast<ptrdiff_t>(row_stride), static_cast<ptrdiff_t>(column_stride)};
    }
    int64_t address, row_stride, column_stride;
};

struct Rows {
    Rows(int64_t address, int64_t stride, int64_t tokens);
    template <class T>
    Binding<T> binding() const {
        return {at<T>(address), static_cast<ptrdiff_t>(stride), at<const int64_t>(tokens)};
    }
    int64_t address, stride, tokens;
};

struct StateMemory {
    StateMemory(int64_t sequence, int64_t stride, int64_t initial, int64_t final);
    int64_t sequence, stride, initial, final;
};

struct Targets {
    Targets(int64_t address, int64_t ignored, double smoothing, int64_t scales);
    int64_t address, ignored;
    double smoothing;
    int64_t scales;
};

// A lane plan over arrays of Python's: what LanePlan promises and the kernels' memory depends on is checked again.
class PlanView {
public:
    using Indices = nanobind::ndarray<const int32_t, nanobind::ndim<1>, nanobind::c_contig, nanobind::device::cpu>;
    using Segments = nanobind::ndarray<const int32_t, nanobind::shape<-1, 4>, nanobind::c_contig, nanobind::device::cpu>;
    PlanView(Indices rows, Segments segments, Indices lanes);

    const Plan& plan() const { return plan_; }
    bool walks() const { return longest_ > 1; }  // whether a segment has a step before another

private:
    void check() const;

    Indices rows_, lanes_;
    Segments segments_;
    Plan plan_;
    int32_t longest_ = 0;
};

inline Precision precision_of(int number) {
    require(number >= 0 && number <= static_cast<int>(Precision::kBfloat16), "there is no such precision");
    return static_cast<Precision>(number);
}

inline void check_threads(int threads) { require(threads > 0, "threads must be at least 1"); }

// A size that the kernels count in 32 bits, with room to round up.
inline int32_t size_of(int64_t size) {
    require(size > 0 && size <= std::numeric_limits<int32_t>::max() / 4, "a size must be at least 1, and below 2 ** 29");
    return static_cast<int32_t>(size);
}

}  // namespace elman
