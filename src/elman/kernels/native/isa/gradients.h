// Sums over all steps: what the gradients of parameters are made of. Outputs are split over threads, steps never. Outer sums and
// token sums are added to what their output holds.
#pragma once

#include "isa/program.h"
#include "isa/recurrence.h"

namespace elman {
namespace {

// What one pass takes together: factors of positions, columns of the source and units of d. Panels and lines fill half a
// second-level cache.
constexpr int kDepth = 256, kColumns = 256, kUnits = 128;

template <class T>
constexpr int kLine = 64 / sizeof(T);  // units that lie together for the tiles: what a cache line holds

// A row, or the pairs that two rows make, the second of them zero where there is none: `block` elements, zero from `valid` on.
template <class T>
ELMAN_INLINE void load_rows(T* to, const T* row, const T*, int block, int valid) {
    load_row<T>(to, row, block, valid);
}

inline void load_rows(Pair* to, const float* row, const float* next, int block, int valid) {
    constexpr int width = Vector<float>::width;
    for (int u = 0; u < block; u += width) {
        vec<float> low{}, high{};
        if (u + width <= valid) {
            low = load<float>(row + u);
            if (next) high = load<float>(next + u);
        } else if (u < valid) {
            low = load_part<float>(row + u, valid - u);
            if (next) high = load_part<float>(next + u, valid - u);
        }
        store<Pair>(to + u, pairs(low, high));
    }
}

// Rows are too short for the processor to see what comes next: it is asked for them so many positions before they are read.
constexpr int kAhead = 16;

template <class T>
void ask_for(const T* row, int count) {
    for (int u = 0; u < count; u += kLine<T>) __builtin_prefetch(row + u);
}

// Source rows as panels: [column tile][position][vectors of the tile], zero past the last column.
template <class T, class F>
void pack_source(const Outer<T>& o, int64_t position, int depth, int column, int columns, const TileSplit& split, F* panel) {
    for (int n = 0; n < depth; n += kPerFactor<F>) {
        const T* row = o.source[position + n] + column;
        const T* next = n + 1 < depth ? o.source[position + n + 1] + column : nullptr;
        for (int m = n + kAhead; m < n + kAhead + kPerFactor<F> && m < depth; ++m) ask_for(o.source[position + m] + column, columns);
        for (int t = 0; t < split.tiles; ++t) {
            const int first = split.begin(t) * Vector<T>::width, span = split.width(t) * Vector<T>::width;
            F* to = panel + static_cast<ptrdiff_t>(factors<F>(depth)) * first + n / kPerFactor<F> * span;
            load_rows(to, row + first, next ? next + first : nullptr, span, columns - first);
        }
    }
}

// Some units of d: [line][position][kLine], zero past the last unit.
template <class T, class F>
void pack_units(const Outer<T>& o, const OuterPart<T>& part, int64_t position, int depth, int unit, int units, F* lines) {
    for (int n = 0; n < depth; n += kPerFactor<F>) {
        const T* row = part.d + o.rows[position + n] * part.stride + unit;
        const T* next = n + 1 < depth ? part.d + o.rows[position + n + 1] * part.stride + unit : nullptr;
        F* to = lines + n / kPerFactor<F> * kLine<T>;
        for (int m = n + kAhead; m < n + kAhead + kPerFactor<F> && m < depth; ++m)
            ask_for(part.d + o.rows[position + m] * part.stride + unit, units);
        for (int u = 0; u < units; u += kLine<T>, to += static_cast<ptrdiff_t>(factors<F>(depth)) * kLine<T>)
            load_rows(to, row + u, next ? next + u : nullptr, kLine<T>, units - u);
    }
}

template <class T, class F>
class OuterWorker {
public:
    explicit OuterWorker(const Outer<T>& outer) : o_(outer) {}

    // Takes memory to work in; false where there is none.
    bool prepare() {
        const size_t bytes = sizeof(F) * kDepth * (kColumns + kUnits) + sizeof(T) * kMaxRows * kSpan;
        Arena arena{static_cast<char*>(o_.workspace(bytes + 256))};
        if (!arena.memory) return false;
        panel_ = arena.take<F>(kDepth * kColumns);
        lines_ = arena.take<F>(kDepth * kUnits);
        sum_ = arena.take<T>(kMaxRows * kSpan);
        return true;
    }

    // Units [first, last) of all parts in turn.
    void add(int64_t first, int64_t last) {
        constexpr int most = kDepth * kPerFactor<F>;
        for (int64_t position = 0; position < o_.positions; position += most) {
            const int depth = static_cast<int>(o_.positions - position < most ? o_.positions - position : most);
            for (int column = 0; column < o_.depth; column += kColumns) {
                const int columns = o_.depth - column < kColumns ? o_.depth - column : kColumns;
                const TileSplit split(static_cast<int>(ceil_div(columns, Vector<T>::width)));
                pack_source(o_, position, depth, column, columns, split, panel_);
                int64_t before = 0;
                for (int p = 0; p < o_.parts; before += o_.part[p++].size) {
                    const int64_t begin = first > before ? first - before : 0;
                    const int64_t end = last - before < o_.part[p].size ? last - before : o_.part[p].size;
                    for (int64_t unit = begin; unit < end; unit += kUnits)
                        add_units(o_.part[p], position, depth, column, columns, split, static_cast<int>(unit),
                                  static_cast<int>(end - unit < kUnits ? end - unit : kUnits));
                }
            }
        }
    }

private:
    static constexpr int kSpan = kMaxVectors * Vector<T>::width;  // of a row of a tile's own sums

    void add_units(const OuterPart<T>& part, int64_t position, int depth, int column, int columns, const TileSplit& split, int unit,
                   int units) {
        pack_units(o_, part, position, depth, unit, units, lines_);
        const F* lines = lines_;
        for (int u = 0; u < units; u += kLine<T>, lines += static_cast<ptrdiff_t>(factors<F>(depth)) * kLine<T>) {
            const int rest = units - u < kLine<T> ? units - u : kLine<T>;
            const int groups = static_cast<int>(ceil_div(rest, rows_for(split.width(0))));
            for (int g = 0; g < groups; ++g) {
                const int first = static_cast<int>(share(rest, groups, g)), count = static_cast<int>(share(rest, groups, g + 1)) - first;
                T* row = part.out + (unit + u + first) * part.row_stride + column * part.column_stride;
                add_rows(part, depth, lines + first, count, row, columns, split);
            }
        }
    }

    // Some units of a line, all columns that are packed.
    void add_rows(const OuterPart<T>& part, int depth, const F* line, int units, T* row, int columns, const TileSplit& split) {
        constexpr int width = Vector<T>::width;
        const F* a[kMaxRows];
        for (int m = 0; m < units; ++m) a[m] = line + m;
        for (int t = 0; t < split.tiles; ++t) {
            const int first = split.begin(t) * width, span = split.width(t) * width;
            const int valid = columns - first < span ? columns - first : span;
            T* corner = row + first * part.column_stride;
            const bool whole = valid == span && part.column_stride == 1;
            if (!whole) transfer(part, corner, units, valid, Move::kRead);
            const ptrdiff_t stride = whole ? part.row_stride : kSpan;
            T* out[kMaxVectors];
            Begin<T> begin[kMaxVectors];
            for (int j = 0; j < split.width(t); ++j) {
                out[j] = (whole ? corner : sum_) + j * width;
                begin[j] = {out[j], stride};
            }
            const Stretch<F> stretch{a, panel_ + static_cast<ptrdiff_t>(factors<F>(depth)) * first, factors<F>(depth)};
            tile_of<T, F>(units, split.width(t))(&stretch, 1, 0, kLine<T>, begin, out, stride);
            if (!whole) transfer(part, corner, units, valid, Move::kWrite);
        }
    }

    enum class Move { kRead, kWrite };

    // Between the output's corner and the tile's own memory.
    void transfer(const OuterPart<T>& part, T* corner, int units, int valid, Move move) {
        for (int m = 0; m < units; ++m) {
            T* mine = sum_ + m * kSpan;
            T* theirs = corner + m * part.row_stride;
            if (part.column_stride == 1)
                move == Move::kRead ? load_row<T>(mine, theirs, kSpan, valid) : store_row<T>(theirs, mine, valid);
            else
                for (int k = 0; k < valid; ++k) {
                    T& element = theirs[k * part.column_stride];
                    if (move == Move::kRead)
                        mine[k] = element;
                    else
                        element = mine[k];
                }
        }
    }

    const Outer<T>& o_;
    F *panel_, *lines_;
    T* sum_;
};

template <class T, class F>
bool outer(const Outer<T>& o, int index, int count) {
    int64_t units = 0;
    for (int p = 0; p < o.parts; ++p) units += o.part[p].size;
    OuterWorker<T, F> worker(o);
    if (!worker.prepare()) return false;
    worker.add(share(units, count, index), share(units, count, index + 1));
    return true;
}

template <class T>
void column_sum(const ColumnSum<T>& s, int index, int count) {
    constexpr int span = 4 * Vector<T>::width;
    const int64_t blocks = ceil_div(s.size, span);
    for (int64_t b = share(blocks, count, index); b < share(blocks, count, index + 1); ++b) {
        const int unit = static_cast<int>(b) * span;
        const int valid = s.size - unit < span ? s.size - unit : span;
        alignas(64) T row[span], total[span] = {};
        for (int64_t n = 0; n < s.rows; ++n) {
            load_row<T>(row, s.d + n * s.stride + unit, span, valid);
            for (int u = 0; u < span; u += Vector<T>::width) store<T>(total + u, load<T>(total + u) + load<T>(row + u));
        }
        store_row<T>(s.out + unit, total, valid);
    }
}

template <class T>
void token_sum(const TokenSum<T>& s, int index, int count) {
    const int64_t width = Vector<T>::width, blocks = ceil_div(s.size, width);
    const int begin = static_cast<int>(share(blocks, count, index) * width);
    const int64_t behind = share(blocks, count, index + 1) * width;
    const int end = static_cast<int>(behind < s.size ? behind : s.size);
    for (int64_t n = 0; begin < end && n < s.rows; ++n) {
        const T* from = s.d + n * s.stride;
        T* to = s.out + s.tokens[n] * s.out_stride;
        int u = begin;
        for (; u + width <= end; u += static_cast<int>(width)) store<T>(to + u, load<T>(to + u) + load<T>(from + u));
        for (; u < end; ++u) to[u] += from[u];
    }
}

}  // namespace
}  // namespace elman
