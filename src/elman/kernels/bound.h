// A program bound to sizes, an element type and an instruction set: it owns what the plain structures of program.h point to.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "isa.h"

namespace elman {

// Memory on a boundary of 64 bytes.
struct Aligned {
    explicit Aligned(size_t bytes) : memory(static_cast<char*>(operator new(bytes ? bytes : 1, std::align_val_t(64)))) {}
    ~Aligned() { operator delete(memory, std::align_val_t(64)); }
    Aligned(const Aligned&) = delete;
    Aligned& operator=(const Aligned&) = delete;
    char* memory;
};

// The operations of the pointwise program, in the order of enum Op.
const std::vector<std::string>& operation_names();

// Scratch memory of the calling thread, kept for its next call. While `poison` is on it is filled with NaN first.
void* workspace(size_t bytes);
void poison(bool on);

class BoundProgram {
public:
    // `code` and `values` as elman.kernels.encode writes them. Throws std::invalid_argument where they do not fit together.
    BoundProgram(const std::vector<int64_t>& code, const std::vector<double>& values, bool is_double);

    BoundProgram(const BoundProgram&) = delete;
    BoundProgram& operator=(const BoundProgram&) = delete;

    template <class T>
    const IsaFunctions<T>& functions() const {
        if constexpr (sizeof(T) == 4)
            return table_.f32;
        else
            return table_.f64;
    }

    // Multiplications and additions of the products of one step.
    double operations() const;

    Program program{};
    bool is_double;
    std::vector<int32_t> recurrent_sizes, before_sizes;
    std::vector<double> recurrent_starts, before_starts;

private:
    class Reader;
    template <class T>
    void shape();
    std::vector<int32_t> arrays_of_run(size_t first) const;
    void share_scratch();
    void list_touched();

    const IsaTable& table_;
    std::vector<Array> arrays_;
    std::vector<Phase> phases_;
    std::vector<std::vector<int32_t>> starts_, touched_;
    std::vector<std::vector<Link>> links_;
    std::vector<std::vector<Instruction>> instructions_;
    std::deque<std::vector<Product>> products_;
    std::vector<double> numbers_;
};

// The panels of a program's matrices, packed for its instruction set.
template <class T>
class Panels {
public:
    // Views by panel and product, in the program's order.
    Panels(const BoundProgram& bound, const std::vector<MatrixView<T>>& views, int threads = 1);
    const T* const* panels() const { return panels_.data(); }

private:
    std::unique_ptr<Aligned> memory_;
    std::vector<const T*> panels_;
};

// 64 bits that change with any element of the matrices: whether panels still hold what the matrices are.
template <class T>
uint64_t fingerprint(const BoundProgram& bound, const std::vector<MatrixView<T>>& views);

}  // namespace elman
