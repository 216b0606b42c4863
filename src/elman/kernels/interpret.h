// The interpreter of pointwise programs: a list of vector operations over a row buffer that stays in the first-level cache.
//
// A register holds `lanes` rows of one block of units, a lane after the other. Every operation runs over whole vectors: what
// lies past the last unit is computed and never stored or summed, so that no lane's bits depend on how many there are.
#pragma once

#include "math.h"
#include "program.h"

namespace elman {
namespace {

// Where an execution takes place: `lanes` lanes from the first one that `pointers` shows, the units [unit, unit + valid).
template <class T>
struct Frame {
    T* registers;
    ptrdiff_t register_stride;
    int lanes;
    int block;           // units of a block
    int unit, valid;     // first unit, and how many of the block there are
    T* const* pointers;  // [array][pointer_stride]: the row of each lane
    int pointer_stride;
    T* sums;             // [sum][pointer_stride][width]
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

// The block of an array's rows into a register.
template <class T>
void load_block(const Frame<T>& f, int array, T* to) {
    T* const* rows = f.pointers + static_cast<ptrdiff_t>(array) * f.pointer_stride;
    if (f.valid < f.block) {
        for (int lane = 0; lane < f.lanes; ++lane) load_row<T>(to + lane * f.block, rows[lane] + f.unit, f.block, f.valid);
        return;
    }
    for (int lane = 0; lane < f.lanes; ++lane) {
        const T* from = rows[lane] + f.unit;
        for (int u = 0; u < f.block; u += Vector<T>::width, to += Vector<T>::width) store<T>(to, load<T>(from + u));
    }
}

template <class T>
void load_scalars(const Frame<T>& f, int array, T* to) {
    T* const* rows = f.pointers + static_cast<ptrdiff_t>(array) * f.pointer_stride;
    for (int lane = 0; lane < f.lanes; ++lane)
        for (int u = 0; u < f.block; u += Vector<T>::width) store<T>(to + lane * f.block + u, broadcast<T>(rows[lane][0]));
}

template <class T>
void store_block(const Frame<T>& f, int array, const T* from) {
    T* const* rows = f.pointers + static_cast<ptrdiff_t>(array) * f.pointer_stride;
    for (int lane = 0; lane < f.lanes; ++lane) store_row<T>(rows[lane] + f.unit, from + lane * f.block, f.valid);
}

template <class T>
void add_block(const Frame<T>& f, int array, const T* from) {
    constexpr int width = Vector<T>::width;
    T* const* rows = f.pointers + static_cast<ptrdiff_t>(array) * f.pointer_stride;
    for (int lane = 0; lane < f.lanes; ++lane, from += f.block) {
        T* to = rows[lane] + f.unit;
        int u = 0;
        for (; u + width <= f.valid; u += width) store<T>(to + u, load<T>(to + u) + load<T>(from + u));
        if (u < f.valid) store_part<T>(to + u, load_part<T>(to + u, f.valid - u) + load<T>(from + u), f.valid - u);
    }
}

// Adds a block to the running sums of its lanes: vector by vector, units ascending, whatever the lanes.
template <class T>
void add_to_sums(const Frame<T>& f, int sum, const T* from) {
    constexpr int width = Vector<T>::width;
    for (int lane = 0; lane < f.lanes; ++lane) {
        T* total = f.sums + (static_cast<ptrdiff_t>(sum) * f.pointer_stride + lane) * width;
        vec<T> v = f.unit == 0 ? vec<T>{} : load<T>(total);
        const T* row = from + lane * f.block;
        int u = 0;
        for (; u + width <= f.valid; u += width) v += load<T>(row + u);
        if (u < f.valid) v += load_part<T>(row + u, f.valid - u);
        store<T>(total, v);
    }
}

template <class T>
T sum_of(const T* total) {
    T sum = total[0];
    for (int i = 1; i < Vector<T>::width; ++i) sum += total[i];
    return sum;
}

template <class T, class F>
ELMAN_INLINE void map(T* y, const T* a, int n, F f) {
    for (int i = 0; i < n; i += Vector<T>::width) store<T>(y + i, f(load<T>(a + i)));
}

template <class T, class F>
ELMAN_INLINE void map(T* y, const T* a, const T* b, int n, F f) {
    for (int i = 0; i < n; i += Vector<T>::width) store<T>(y + i, f(load<T>(a + i), load<T>(b + i)));
}

// The larger (smaller) of two, a NaN where either is one.
template <class T>
ELMAN_INLINE vec<T> one_or_zero(mask<T> m) {
    return select(m, broadcast<T>(1), vec<T>{});
}

template <class T>
[[gnu::noinline]] void compute(int op, T* y, const T* a, const T* b, const T* c, int n) {
    using V = vec<T>;
    switch (op) {
        case kCopy: return map(y, a, n, [](V v) { return v; });
        case kAdd: return map(y, a, b, n, [](V v, V w) { return v + w; });
        case kSub: return map(y, a, b, n, [](V v, V w) { return v - w; });
        case kMul: return map(y, a, b, n, [](V v, V w) { return v * w; });
        case kDiv: return map(y, a, b, n, [](V v, V w) { return v / w; });
        case kNeg: return map(y, a, n, [](V v) { return -v; });
        case kSigmoid: return map(y, a, n, [](V v) { return sigmoid<T>(v); });
        case kTanh: return map(y, a, n, [](V v) { return tanh<T>(v); });
        case kRelu: return map(y, a, n, [](V v) { return select(v < 0, V{}, v); });
        case kExp: return map(y, a, n, [](V v) { return exp<T>(v); });
        case kLog: return map(y, a, n, [](V v) { return log<T>(v); });
        case kSoftplus: return map(y, a, n, [](V v) { return softplus<T>(v); });
        case kAbs: return map(y, a, n, [](V v) { return abs<T>(v); });
        case kSqrt: return map(y, a, n, [](V v) { return sqrt<T>(v); });
        case kMinimum: return map(y, a, b, n, [](V v, V w) { return vmin(v, w); });
        case kMaximum: return map(y, a, b, n, [](V v, V w) { return vmax(v, w); });
        case kGreater: return map(y, a, b, n, [](V v, V w) { return one_or_zero<T>(v > w); });
        case kGreaterEqual: return map(y, a, b, n, [](V v, V w) { return one_or_zero<T>(v >= w); });
        default:
            for (int i = 0; i < n; i += Vector<T>::width)
                store<T>(y + i, select(load<T>(a + i) != 0, load<T>(b + i), load<T>(c + i)));
    }
}

template <class T>
void execute(const Phase& phase, const Frame<T>& f) {
    const int n = f.lanes * f.block;
    int sum = 0;
    for (int i = 0; i < phase.code; ++i) {
        const Instruction& code = phase.instruction[i];
        T* y = f.registers + code.target * f.register_stride;
        const T* a = f.registers + code.a * f.register_stride;
        switch (code.op) {
            case kLoad: load_block(f, code.array, y); break;
            case kLoadScalar: load_scalars(f, code.array, y); break;
            case kStore: store_block(f, code.array, a); break;
            case kAccumulate: add_block(f, code.array, a); break;
            case kSum: add_to_sums(f, sum++, a); break;
            case kConstant:
                for (int u = 0; u < n; u += Vector<T>::width) store<T>(y + u, broadcast<T>(static_cast<T>(code.value)));
                break;
            default:
                compute<T>(code.op, y, a, f.registers + code.b * f.register_stride,
                           f.registers + code.c * f.register_stride, n);
        }
    }
}

}  // namespace
}  // namespace elman
