// Panels: the matrices of a link, laid out in the order in which the tiles read them, as the factors F that these multiply.
//
// A phase goes over its units in blocks of `vectors` vectors. In a block, product p of a link has vectors p * vectors ... of the
// link's row of vectors, which is cut into tiles; the panel is [block][tile][k][vector of the tile][unit], zero past the last unit.
#pragma once

#include "isa/interpret.h"
#include "isa/tile.h"

namespace elman {
namespace {

// Vectors in a block of units, by its chains: so many that these fill a tile of four vectors (one of three where there are three
// chains), and no more, because the panels of a block stay in the cache while all lanes go over it.
constexpr int kBlockVectors[] = {4, 4, 2};
constexpr int kRunVectors = 32;             // vectors that an operation goes over where no tile decides it
constexpr size_t kPanelBytes = 512 * 1024;  // panels of a block, which all lanes read: half of a second-level cache

// How a phase is cut: units into blocks for the tiles, these into what its code runs over; lanes into groups.
template <class T, class F>
void shape(Phase& phase) {
    const int most = static_cast<int>(ceil_div(phase.size, Vector<T>::width));
    const int wanted = phase.chains < 3 ? kBlockVectors[phase.chains] : 1;
    phase.vectors = wanted < most ? wanted : most;
    size_t bytes = 1;
    for (int l = 0; l < phase.links; ++l)
        bytes += sizeof(F) * factors<F>(phase.link[l].depth) * phase.link[l].products * phase.vectors * Vector<T>::width;
    const int wide = (phase.links ? kRunVectors / 2 : kRunVectors) / phase.vectors;
    const int fitting = static_cast<int>(kPanelBytes / bytes), blocks = static_cast<int>(ceil_div(most, phase.vectors));
    phase.tiles = wide < fitting ? wide : fitting;
    phase.tiles = phase.tiles < 1 ? 1 : phase.tiles > blocks ? blocks : phase.tiles;
    const int lanes = kRunVectors / most;
    phase.lanes = phase.links ? kMaxLanes : lanes < 1 ? 1 : lanes > kMaxLanes ? kMaxLanes : lanes;
    for (int l = 0; l < phase.links; ++l) {
        const TileSplit split(phase.link[l].products * phase.vectors);
        const int rows = rows_for(split.width(0));
        phase.lanes = rows < phase.lanes ? rows : phase.lanes;
    }
}

template <class T>
int block_units(const Phase& phase) {
    return phase.vectors * Vector<T>::width;
}

// Units that the code of a phase runs over at once.
template <class T>
int code_units(const Phase& phase) {
    return phase.tiles * block_units<T>(phase);
}

template <class T>
int block_count(const Phase& phase) {
    return static_cast<int>(ceil_div(phase.size, block_units<T>(phase)));
}

// Factors in the panel of a block, and of all blocks.
template <class T, class F>
size_t block_panel(const Phase& phase, const Link& link) {
    return static_cast<size_t>(factors<F>(link.depth)) * link.products * block_units<T>(phase);
}

template <class T, class F>
size_t panel_bytes(const Phase& phase, const Link& link) {
    return sizeof(F) * block_panel<T, F>(phase, link) * block_count<T>(phase);
}

// Exchanges rows and columns of a square of vectors: pairs of rows swap ever smaller halves.
template <class T>
ELMAN_INLINE void transpose(vec<T>* v) {
    constexpr int width = Vector<T>::width;
    for (int half = width / 2; half > 0; half /= 2) {
        typename Vector<T>::mask low, high;
        for (int i = 0; i < width; ++i) {
            low[i] = i & half ? width + (i ^ half) : i;
            high[i] = i & half ? width + i : i | half;
        }
        for (int i = 0; i < width; ++i) {
            if (i & half) continue;
            const vec<T> a = v[i], b = v[i | half];
            v[i] = shuffle<T>(a, b, low);
            v[i | half] = shuffle<T>(a, b, high);
        }
    }
}

// One vector of units of a matrix, all its columns: to[k * stride + unit], zero past the last unit.
template <class T>
void pack_vector(const MatrixView<T>& view, int unit, int units, int depth, T* to, ptrdiff_t stride) {
    constexpr int width = Vector<T>::width;
    const T* from = view.base + unit * view.row_stride;
    int k = 0;
    if (view.row_stride == 1) {
        for (; k < depth; ++k) load_row<T>(to + k * stride, from + k * view.column_stride, width, units);
        return;
    }
    for (; view.column_stride == 1 && units == width && k + width <= depth; k += width) {
        vec<T> square[width];
        for (int i = 0; i < width; ++i) square[i] = load<T>(from + i * view.row_stride + k);
        transpose<T>(square);
        for (int i = 0; i < width; ++i) store<T>(to + (k + i) * stride, square[i]);
    }
    for (; k < depth; ++k)
        for (int i = 0; i < width; ++i) to[k * stride + i] = i < units ? from[i * view.row_stride + k * view.column_stride] : T(0);
}

// The same as pairs of columns.
inline void pack_vector(const MatrixView<float>& view, int unit, int units, int depth, Pair* to, ptrdiff_t stride) {
    constexpr int width = Vector<float>::width, most = 2 * width;
    alignas(64) float columns[(most + 1) * width];
    for (int k = 0; k < depth; k += most) {
        const int count = depth - k < most ? depth - k : most;
        const MatrixView<float> rest{view.base + k * view.column_stride, view.row_stride, view.column_stride};
        pack_vector(rest, unit, units, count, columns, static_cast<ptrdiff_t>(width));
        store<float>(columns + count * width, vec<float>{});
        for (int i = 0; i < count; i += 2, to += stride) store<Pair>(to, pairs(load<float>(columns + i * width), load<float>(columns + (i + 1) * width)));
    }
}

// The share of thread `index` of `count`: some of the blocks.
template <class T, class F>
void pack(const Phase& phase, const Link& link, const MatrixView<T>* views, void* memory, int index, int count) {
    constexpr int width = Vector<T>::width;
    const TileSplit split(link.products * phase.vectors);
    const int64_t blocks = block_count<T>(phase);
    const int first = static_cast<int>(share(blocks, count, index)), last = static_cast<int>(share(blocks, count, index + 1));
    F* panel = static_cast<F*>(memory) + block_panel<T, F>(phase, link) * first;
    for (int block = first; block < last; ++block) {
        for (int t = 0; t < split.tiles; ++t) {
            const int vectors = split.width(t);
            for (int j = 0; j < vectors; ++j) {
                const int place = split.begin(t) + j;
                const int unit = (block * phase.vectors + place % phase.vectors) * width;
                const int units = phase.size - unit < width ? (phase.size > unit ? phase.size - unit : 0) : width;
                const MatrixView<T>& view = views[place / phase.vectors];
                pack_vector(view, units ? unit : 0, units, link.depth, panel + j * width, static_cast<ptrdiff_t>(vectors) * width);
            }
            panel += static_cast<size_t>(factors<F>(link.depth)) * vectors * width;
        }
    }
}

}  // namespace
}  // namespace elman
