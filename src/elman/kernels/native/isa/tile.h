// The register tile: rows times a panel, accumulated in place. It knows no cell and no sequence.
//
//   out[j][i * stride .. + width] = begin[j][i] + sum over k of rows[i][k * step] * panel[k][j]      i < ROWS, j < VECTORS
//
// The sum may have several stretches, one after the other, each with rows and a panel of its own.
// The factors F of its products are elements of type T, or pairs of bfloat16 where T is float.
// Each output element is one chain of fused multiply-adds, k ascending, that goes on from where it begins: a chain may be
// spilled between calls and gives the same bits, whatever ROWS and VECTORS it is computed with.
#pragma once

#include "isa/bfloat16.h"

namespace elman {
namespace {

// Tile shapes by registers of the instruction set: accumulators, one row of the panel and a broadcast must fit.
// 32 registers of 64 bytes: 6 x 4 = 24 + 5, 8 x 3 = 24 + 4. 16 registers: 4 x 3 = 12 + 4, 6 x 2 = 12 + 3.
constexpr int kMaxRows = 8;
constexpr int kMaxVectors = ELMAN_VECTOR_BYTES == 64 ? 4 : 3;

constexpr int rows_for(int vectors) {
    if (ELMAN_VECTOR_BYTES == 64) return vectors == 4 ? 6 : 8;
    return vectors == 3 ? 4 : vectors == 2 ? 6 : 8;
}

// Where the chains of one vector begin: row i at row + i * stride.
template <class T>
struct Begin {
    const T* row;
    ptrdiff_t stride;
};

template <class F>
struct Stretch {
    const F* const* rows;
    const F* panel;
    int depth;
};

// Of each stretch the rows from `first` on.
template <class T, class F, int ROWS, int VECTORS>
[[gnu::noinline]] void tile(const Stretch<F>* stretch, int stretches, ptrdiff_t first, ptrdiff_t step, const Begin<T>* begin, T* const* out,
                            ptrdiff_t stride) {
    constexpr int width = Vector<T>::width;
    vec<T> sum[ROWS][VECTORS];
    for (int i = 0; i < ROWS; ++i)
        for (int j = 0; j < VECTORS; ++j) sum[i][j] = load<T>(begin[j].row + i * begin[j].stride);
    for (const Stretch<F>* behind = stretch + stretches; stretch < behind; ++stretch) {
        const F* row[ROWS];
        for (int i = 0; i < ROWS; ++i) row[i] = stretch->rows[first + i];
        const F* panel = stretch->panel;
        for (ptrdiff_t k = 0, end = stretch->depth * step; k < end; k += step) {
            vec<F> b[VECTORS];
            for (int j = 0; j < VECTORS; ++j) b[j] = load<F>(panel + j * width);
            panel += VECTORS * width;
            for (int i = 0; i < ROWS; ++i) {
                const vec<F> s = broadcast<F>(row[i][k]);
                for (int j = 0; j < VECTORS; ++j) sum[i][j] = multiply_add(sum[i][j], s, b[j]);
            }
        }
    }
    for (int i = 0; i < ROWS; ++i)
        for (int j = 0; j < VECTORS; ++j) store<T>(out[j] + i * stride, sum[i][j]);
}

template <class T, class F>
using TileFunction = void (*)(const Stretch<F>*, int, ptrdiff_t, ptrdiff_t, const Begin<T>*, T* const*, ptrdiff_t);

template <class T, class F, int VECTORS>
TileFunction<T, F> tile_of(int rows) {
    constexpr TileFunction<T, F> table[kMaxRows] = {tile<T, F, 1, VECTORS>, tile<T, F, 2, VECTORS>, tile<T, F, 3, VECTORS>,
                                                    tile<T, F, 4, VECTORS>, tile<T, F, 5, VECTORS>, tile<T, F, 6, VECTORS>,
                                                    tile<T, F, 7, VECTORS>, tile<T, F, 8, VECTORS>};
    return table[rows - 1];
}

template <class T, class F>
TileFunction<T, F> tile_of(int rows, int vectors) {
    if (vectors == 1) return tile_of<T, F, 1>(rows);
    if (vectors == 2) return tile_of<T, F, 2>(rows);
    if constexpr (kMaxVectors == 4)
        if (vectors == 4) return tile_of<T, F, 4>(rows);
    return tile_of<T, F, 3>(rows);
}

// `total` in `parts` nearly equal parts: where part `index` begins.
constexpr int64_t share(int64_t total, int64_t parts, int64_t index) { return total * index / parts; }

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The vectors of a block, split into tiles: how many tiles, and the vectors of tile t. The first is the widest.
struct TileSplit {
    int tiles, least, more;
    explicit TileSplit(int total) : tiles((total + kMaxVectors - 1) / kMaxVectors), least(total / tiles), more(total % tiles) {}
    int begin(int t) const { return t * least + (t < more ? t : more); }
    int width(int t) const { return least + (t < more); }
};

}  // namespace
}  // namespace elman
