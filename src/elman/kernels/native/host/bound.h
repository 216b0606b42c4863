// A program bound to sizes, a precision and an instruction set: it owns what the plain structures of program.h point to.
#pragma once

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "isa/isa.h"

namespace elman {

// The operations of the pointwise program in the order of enum Op: each one's name and how many operands it takes.
const std::vector<std::pair<std::string, int>>& operations();

// The element type of all memory, and of the factors of products where it is another.
enum class Precision : int32_t {
    kFloat32,
    kFloat64,
    kBfloat16,  // memory is float32
};

template <class T>
const IsaFunctions<T>& functions_of(const IsaTable& table, Precision precision) {
    if constexpr (sizeof(T) == 8)
        return table.f64;
    else
        return precision == Precision::kBfloat16 ? table.bf16 : table.f32;
}

class BoundProgram {
public:
    // `code` and `values` as elman.kernels.encode writes them. Throws std::invalid_argument where they do not fit together; what
    // is let through stays inside its memory, whatever it computes.
    BoundProgram(const IsaTable& isa, const std::vector<int64_t>& code, const std::vector<double>& values, Precision precision);

    BoundProgram(const BoundProgram&) = delete;
    BoundProgram& operator=(const BoundProgram&) = delete;

    template <class T>
    const IsaFunctions<T>& functions() const {
        return functions_of<T>(table_, precision);
    }

    // Multiplications and additions of the products of one step.
    double operations() const;

    Program program{};
    Precision precision;
    bool has_steps = false;           // whether something runs from step to step, or lane by lane: it needs a plan
    std::vector<size_t> panel_bytes;  // what each link's panel takes
    int32_t products = 0;             // of all links
    std::vector<int32_t> recurrent_sizes, before_sizes;
    std::vector<double> recurrent_starts, before_starts;

private:
    class Reader;
    void read_states(Reader& in, std::vector<int32_t>& sizes, std::vector<double>& starts) const;
    void read_array(Reader& in, Array& array) const;
    void read_phase(Reader& in, size_t k);
    void read_link(Reader& in, const Phase& phase, Link& link, std::vector<bool>& begun);
    void read_instruction(Reader& in, Phase& phase, Instruction& i) const;
    template <class T>
    void shape();
    void list_panels();
    std::vector<int32_t> arrays_of_run(size_t first) const;
    void share_scratch();
    void list_touched();

    const IsaTable& table_;
    std::vector<double> numbers_;
    std::vector<Array> arrays_;
    std::vector<Phase> phases_;
    std::vector<std::vector<int32_t>> starts_, touched_;
    std::vector<std::vector<Link>> links_;
    std::vector<std::vector<Instruction>> instructions_;
    std::deque<std::vector<Product>> products_;
};

}  // namespace elman
