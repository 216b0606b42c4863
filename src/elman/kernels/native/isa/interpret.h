// The interpreter of pointwise programs: a list of vector operations on rows that stay in the first-level cache.
//
// A frame is a few lanes and a block of units. An operand is a register, which holds a block for each lane, or an array, whose
// rows are read and written where they lie. Every operation goes lane by lane over whole vectors; what lies past the last unit
// is neither read nor written, so that no lane's bits depend on how many there are.
#pragma once

#include "isa/periodic.h"
#include "isa/program.h"

namespace elman {
namespace {

constexpr int kMaxLanes = 8;  // lanes of a frame

// Where an execution takes place: `lanes` lanes from the first one that `rows` shows, the units [unit, unit + units).
template <class T>
struct Frame {
    int lanes;
    int unit, units;
    T* const* registers;  // [register][kMaxLanes]
    T* const* rows;       // [array][stride]
    ptrdiff_t stride;
    T* sums;              // [sum][stride][width]
};

// An operand: a row for each lane, and where the block begins in it.
template <class T>
struct Place {
    T* const* row;
    ptrdiff_t unit;
};

template <class T>
ELMAN_INLINE Place<T> place(const Frame<T>& f, int32_t operand) {
    if (operand >= 0) return {f.registers + static_cast<ptrdiff_t>(operand) * kMaxLanes, 0};
    return {f.rows + ~operand * f.stride, f.unit};
}

// What an operation reads of one lane: a row, or one number that stands for all units.
template <class T, bool SPREAD>
struct Source {
    const T* row;
    vec<T> all;
    ELMAN_INLINE Source(const Place<T>& p, int lane) : row(p.row[lane] + (SPREAD ? 0 : p.unit)), all{} {
        if constexpr (SPREAD) all = broadcast<T>(*row);
    }
    ELMAN_INLINE vec<T> at(int u) const {
        if constexpr (SPREAD) return all;
        return load<T>(row + u);
    }
    ELMAN_INLINE vec<T> part(int u, int count) const {
        if constexpr (SPREAD) return all;
        return count == 1 ? broadcast<T>(row[u]) : load_part<T>(row + u, count);
    }
};

template <class T>
ELMAN_INLINE void load_row(T* to, const T* from, int block, int valid) {
    constexpr int width = Vector<T>::width;
    for (int u = 0; u < block; u += width) {
        if (u + width <= valid)
            store<T>(to + u, load<T>(from + u));
        else
            store<T>(to + u, u < valid ? load_part<T>(from + u, valid - u) : vec<T>{});
    }
}

template <class T>
ELMAN_INLINE void store_row(T* to, const T* from, int valid) {
    constexpr int width = Vector<T>::width;
    int u = 0;
    for (; u + width <= valid; u += width) store<T>(to + u, load<T>(from + u));
    if (u < valid) store_part<T>(to + u, load<T>(from + u), valid - u);
}

template <class T>
ELMAN_INLINE vec<T> one_or_zero(mask<T> m) {
    return select(m, broadcast<T>(1), vec<T>{});
}

// One row of the table: how many operands it takes, how many vectors of them the code takes at a time, and its value.
template <class T, int OP>
struct Operation;

#define ELMAN_OPERATION(OP, name, taken, vectors, value)                                      \
    template <class T>                                                                        \
    struct Operation<T, OP> {                                                                 \
        static constexpr int operands = taken, unrolled = vectors;                            \
        ELMAN_INLINE static vec<T> of(vec<T> a, [[maybe_unused]] vec<T> b, [[maybe_unused]] vec<T> c) { return value; } \
    };
ELMAN_OPERATIONS(ELMAN_OPERATION)
#undef ELMAN_OPERATION

// Runs an operation over a frame; bit k of SPREAD says that operand k is one number for all units.
template <class T, int OP, int SPREAD>
void run_operation(const Instruction& code, const Frame<T>& f) {
    using Op = Operation<T, OP>;
    constexpr int width = Vector<T>::width, span = Op::unrolled * width;
    const Place<T> y = place(f, code.target), pa = place(f, code.a), pb = place(f, code.b), pc = place(f, code.c);
    for (int lane = 0; lane < f.lanes; ++lane) {
        const Source<T, (SPREAD & 1) != 0> a(pa, lane);
        const Source<T, (SPREAD & 2) != 0> b(pb, lane);
        const Source<T, (SPREAD & 4) != 0> c(pc, lane);
        T* to = y.row[lane] + y.unit;
        int u = 0;
        for (; u + span <= f.units; u += span) {
            vec<T> v[Op::unrolled];
            for (int j = 0; j < Op::unrolled; ++j) v[j] = Op::of(a.at(u + j * width), b.at(u + j * width), c.at(u + j * width));
            for (int j = 0; j < Op::unrolled; ++j) store<T>(to + u + j * width, v[j]);
        }
        for (; u + width <= f.units; u += width) store<T>(to + u, Op::of(a.at(u), b.at(u), c.at(u)));
        const int rest = f.units - u;
        if (rest == 1)
            to[u] = Op::of(a.part(u, 1), b.part(u, 1), c.part(u, 1))[0];
        else if (rest > 1)
            store_part<T>(to + u, Op::of(a.part(u, rest), b.part(u, rest), c.part(u, rest)), rest);
    }
}

// How a reduction begins, and what it makes of two parts.
template <class T, int OP>
struct Reduction {
    ELMAN_INLINE static vec<T> first() { return broadcast<T>(OP == kSum ? T(0) : -Format<T>::infinity); }
    ELMAN_INLINE static vec<T> of(vec<T> a, vec<T> b) { return OP == kSum ? a + b : vmax(a, b); }
};

// Adds a block to the running reductions of its lanes: vector by vector, units ascending, whatever the lanes.
template <class T, int OP>
void reduce_block(const Instruction& code, const Frame<T>& f) {
    using R = Reduction<T, OP>;
    constexpr int width = Vector<T>::width;
    const Place<T> pa = place(f, code.a);
    for (int lane = 0; lane < f.lanes; ++lane) {
        const Source<T, false> a(pa, lane);
        T* total = f.sums + (static_cast<ptrdiff_t>(code.target) * f.stride + lane) * width;
        vec<T> v = f.unit == 0 ? R::first() : load<T>(total);
        int u = 0;
        for (; u + width <= f.units; u += width) v = R::of(v, a.at(u));
        if (u < f.units) {
            vec<T> rest = R::first();
            for (int i = 0; i < width; ++i)
                if (u + i < f.units) rest[i] = a.row[u + i];
            v = R::of(v, rest);
        }
        store<T>(total, v);
    }
}

// All elements of a vector of running values, by halves.
template <class T, int OP>
T reduced(const T* total) {
    vec<T> v = load<T>(total);
    for (int half = Vector<T>::width / 2; half > 0; half /= 2) {
        vec<T> other = v;
        for (int i = 0; i < half; ++i) other[i] = v[i + half];
        v = Reduction<T, OP>::of(v, other);
    }
    return v[0];
}

// A row of `size` units moved round by a whole number of them.
template <class T>
void shift_row(const Instruction& code, const Frame<T>& f, int size) {
    const Place<T> y = place(f, code.target), by = place(f, code.b);
    for (int lane = 0; lane < f.lanes; ++lane) {
        const T* from = f.rows[~code.a * f.stride + lane];
        const int moved = static_cast<int>(static_cast<int64_t>(*by.row[lane]) % size);
        int at = (f.unit + size - moved) % size;
        T* to = y.row[lane] + y.unit;
        for (int u = 0; u < f.units; ++u) {
            to[u] = from[at];
            if (++at == size) at = 0;
        }
    }
}

template <class T>
using Runner = void (*)(const Instruction&, const Frame<T>&);

// The runners of an operation by `spread`; an operand that it does not take is never spread.
template <class T, int OP>
struct Runners {
    template <int SPREAD>
    static constexpr Runner<T> of = run_operation<T, OP, (SPREAD & ((1 << Operation<T, OP>::operands) - 1))>;
    static constexpr Runner<T> all[8] = {of<0>, of<1>, of<2>, of<3>, of<4>, of<5>, of<6>, of<7>};
};

template <class T>
Runner<T> runner(int op, int spread) {
#define ELMAN_RUNNERS(OP, name, operands, vectors, value) Runners<T, OP>::all,
    static constexpr const Runner<T>* table[kShift] = {ELMAN_OPERATIONS(ELMAN_RUNNERS)};
#undef ELMAN_RUNNERS
    return table[op][spread];
}

// Asks for the rows that the next lanes will touch, a few at every operation: their streams are too short for the processor to
// see, and all at once they would stand in the way.
template <class T>
class Ahead {
public:
    Ahead(const Program& program, const Phase& phase, T* const* pointers, ptrdiff_t stride, int lane, int behind)
        : program_(program), phase_(phase), pointers_(pointers), stride_(stride), lane_(phase.touched ? lane : behind), behind_(behind), array_(0) {}

    void row() {
        if (lane_ >= behind_) return;
        constexpr int line = 64 / sizeof(T);
        const int array = phase_.touch[array_], size = program_.array[array].size;
        const T* from = pointers_[array * stride_ + lane_];
        for (int u = 0; u < size; u += line) __builtin_prefetch(from + u, 0, 2);
        if (++array_ == phase_.touched) array_ = 0, ++lane_;
    }

private:
    const Program& program_;
    const Phase& phase_;
    T* const* pointers_;
    ptrdiff_t stride_;
    int lane_, behind_, array_;
};

template <class T>
void execute(const Phase& phase, const Frame<T>& f, Ahead<T>& ahead) {
    for (int i = 0; i < phase.code; ++i) {
        const Instruction& code = phase.instruction[i];
        ahead.row();
        if (code.op == kShift)
            shift_row(code, f, phase.size);
        else if (code.op == kSum)
            reduce_block<T, kSum>(code, f);
        else if (code.op == kLargest)
            reduce_block<T, kLargest>(code, f);
        else
            runner<T>(code.op, code.spread)(code, f);
    }
}

}  // namespace
}  // namespace elman
