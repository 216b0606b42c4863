// Panels: the matrices of a link, laid out in the order in which the tiles read them.
//
// A phase goes over its units in blocks of `vectors` vectors. In a block, product p of a link has vectors p * vectors ... of the
// link's row of vectors, which is cut into tiles; the panel is [block][tile][k][vector of the tile][unit], zero past the last unit.
#pragma once

#include "program.h"
#include "tile.h"

namespace elman {
namespace {

template <class T>
int block_vectors(int chains, int size) {
    const int wanted = chains == 0 ? 4 : chains == 1 ? 4 : chains == 2 ? 2 : 1;
    const int most = static_cast<int>(ceil_div(size, Vector<T>::width));
    return wanted < most ? wanted : most;
}

template <class T>
int block_units(const Phase& phase) {
    return phase.vectors * Vector<T>::width;
}

template <class T>
int block_count(const Phase& phase) {
    return static_cast<int>(ceil_div(phase.size, block_units<T>(phase)));
}

template <class T>
size_t block_panel(const Phase& phase, const Link& link) {
    return static_cast<size_t>(link.depth) * link.products * block_units<T>(phase);
}

template <class T>
size_t panel_size(const Phase& phase, const Link& link) {
    return block_panel<T>(phase, link) * block_count<T>(phase);
}

template <class T>
void pack(const Phase& phase, const Link& link, const MatrixView<T>* views, T* panel) {
    constexpr int width = Vector<T>::width;
    const TileSplit split(link.products * phase.vectors);
    for (int block = 0; block < block_count<T>(phase); ++block) {
        for (int t = 0; t < split.tiles; ++t) {
            const int vectors = split.width(t);
            for (int j = 0; j < vectors; ++j) {
                const int place = split.begin(t) + j;
                const MatrixView<T>& view = views[place / phase.vectors];
                const int unit = (block * phase.vectors + place % phase.vectors) * width;
                for (int lane = 0; lane < width; ++lane) {
                    const bool inside = unit + lane < phase.size;
                    const T* from = view.base + (inside ? (unit + lane) * view.row_stride : 0);
                    T* to = panel + j * width + lane;
                    for (int k = 0; k < link.depth; ++k, to += vectors * width)
                        *to = inside ? from[k * view.column_stride] : T(0);
                }
            }
            panel += static_cast<size_t>(link.depth) * vectors * width;
        }
    }
}

}  // namespace
}  // namespace elman
