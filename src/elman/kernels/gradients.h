// Sums over all steps: what the gradients of parameters are made of. Outputs are split over threads, steps never. Outer sums and
// token sums are added to what their output holds.
#pragma once

#include "program.h"
#include "recurrence.h"

namespace elman {
namespace {

// What one pass takes together: positions, columns of the source and units of d. Panels and lines fill half a second-level cache.
constexpr int kDepth = 256, kColumns = 256, kUnits = 128;

template <class T>
constexpr int kLine = 64 / sizeof(T);  // units that lie together for the tiles: what a cache line holds

// Source rows as panels: [column tile][position][vectors of the tile], zero past the last column.
template <class T>
void pack_source(const Outer<T>& o, int64_t position, int depth, int column, int columns, T* panel) {
    constexpr int span = kMaxVectors * Vector<T>::width;
    for (int n = 0; n < depth; ++n) {
        T* to = panel + n * span;
        for (int first = 0; first < columns; first += span, to += static_cast<ptrdiff_t>(depth) * span) {
            const int valid = columns - first < span ? columns - first : span;
            load_row<T>(to, o.source[position + n] + column + first, span, valid);
        }
    }
}

// Some units of d: [line][position][kLine], zero past the last unit.
template <class T>
void pack_units(const Outer<T>& o, const OuterPart<T>& part, int64_t position, int depth, int unit, int units, T* lines) {
    for (int n = 0; n < depth; ++n) {
        const T* from = part.d + o.rows[position + n] * part.stride + unit;
        T* to = lines + n * kLine<T>;
        for (int u = 0; u < units; u += kLine<T>, to += static_cast<ptrdiff_t>(depth) * kLine<T>)
            load_row<T>(to, from + u, kLine<T>, units - u < kLine<T> ? units - u : kLine<T>);
    }
}

template <class T>
class OuterWorker {
public:
    explicit OuterWorker(const Outer<T>& outer) : o_(outer) {
        constexpr int span = kMaxVectors * Vector<T>::width;
        char* memory = static_cast<char*>(o_.workspace(sizeof(T) * (kDepth * (kColumns + span + kUnits) + kMaxRows * span) + 256));
        Arena arena{memory};
        panel_ = arena.take<T>(kDepth * (kColumns + span));
        lines_ = arena.take<T>(kDepth * kUnits);
        sum_ = arena.take<T>(kMaxRows * span);
    }

    // Units [first, last) of all parts in turn.
    void add(int64_t first, int64_t last) {
        for (int64_t position = 0; position < o_.positions; position += kDepth) {
            const int depth = static_cast<int>(o_.positions - position < kDepth ? o_.positions - position : kDepth);
            for (int column = 0; column < o_.depth; column += kColumns) {
                const int columns = o_.depth - column < kColumns ? o_.depth - column : kColumns;
                pack_source(o_, position, depth, column, columns, panel_);
                int64_t before = 0;
                for (int p = 0; p < o_.parts; before += o_.part[p++].size) {
                    const int64_t begin = first > before ? first - before : 0;
                    const int64_t end = last - before < o_.part[p].size ? last - before : o_.part[p].size;
                    for (int64_t unit = begin; unit < end; unit += kUnits)
                        add_units(o_.part[p], position, depth, column, columns, static_cast<int>(unit),
                                  static_cast<int>(end - unit < kUnits ? end - unit : kUnits));
                }
            }
        }
    }

private:
    void add_units(const OuterPart<T>& part, int64_t position, int depth, int column, int columns, int unit, int units) {
        pack_units(o_, part, position, depth, unit, units, lines_);
        const T* lines = lines_;
        for (int u = 0; u < units; u += kLine<T>, lines += static_cast<ptrdiff_t>(depth) * kLine<T>) {
            const int rest = units - u < kLine<T> ? units - u : kLine<T>;
            const int groups = static_cast<int>(ceil_div(rest, rows_for(kMaxVectors)));
            for (int g = 0; g < groups; ++g) {
                const int first = static_cast<int>(share(rest, groups, g)), count = static_cast<int>(share(rest, groups, g + 1)) - first;
                T* row = part.out + (unit + u + first) * part.row_stride + column * part.column_stride;
                add_rows(part, depth, lines + first, count, row, columns);
            }
        }
    }

    // Some units of a line, all columns that are packed.
    void add_rows(const OuterPart<T>& part, int depth, const T* line, int units, T* row, int columns) {
        constexpr int width = Vector<T>::width, span = kMaxVectors * width;
        const T* a[kMaxRows];
        for (int m = 0; m < units; ++m) a[m] = line + m;
        const T* panel = panel_;
        for (int first = 0; first < columns; first += span, panel += static_cast<ptrdiff_t>(depth) * span) {
            const int valid = columns - first < span ? columns - first : span;
            T* corner = row + first * part.column_stride;
            const bool whole = valid == span && part.column_stride == 1;
            if (!whole) transfer(part, corner, units, valid, Move::kRead);
            const ptrdiff_t stride = whole ? part.row_stride : span;
            T* out[kMaxVectors];
            Begin<T> begin[kMaxVectors];
            for (int j = 0; j < kMaxVectors; ++j) {
                out[j] = (whole ? corner : sum_) + j * width;
                begin[j] = {out[j], stride};
            }
            tile_of<T>(units, kMaxVectors)(depth, a, kLine<T>, panel, begin, out, stride);
            if (!whole) transfer(part, corner, units, valid, Move::kWrite);
        }
    }

    enum class Move { kRead, kWrite };

    // Between the output's corner and the tile's own memory.
    void transfer(const OuterPart<T>& part, T* corner, int units, int valid, Move move) {
        constexpr int span = kMaxVectors * Vector<T>::width;
        for (int m = 0; m < units; ++m) {
            T* mine = sum_ + m * span;
            T* theirs = corner + m * part.row_stride;
            if (part.column_stride == 1)
                move == Move::kRead ? load_row<T>(mine, theirs, span, valid) : store_row<T>(theirs, mine, valid);
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
    T *panel_, *lines_, *sum_;
};

template <class T>
void outer(const Outer<T>& o, int index, int count) {
    int64_t units = 0;
    for (int p = 0; p < o.parts; ++p) units += o.part[p].size;
    OuterWorker<T>(o).add(share(units, count, index), share(units, count, index + 1));
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
