// The tiles of a program's products: where each begins, what it multiplies and where its sums go. All this is the same at every
// step, and for all lanes but for the first one's place: it is worked out once a run.
//
// Links of a phase that follow each other and add to the same chains are stretches of one tile.
#pragma once

#include "isa/factors.h"
#include "isa/lanes.h"
#include "isa/pack.h"

namespace elman {
namespace {

template <class T, class F>
class Tiles {
public:
    explicit Tiles(const Run<T>& run) : run_(run), program_(*run.program) {}

    void lay_out(Arena& arena) {
        size_t tiles = 0, stretches = 0, chains = 0;
        for (int k = 0; k < program_.phases; ++k) {
            const Phase& phase = program_.phase[k];
            chains += phase.chains;
            for (int l = 0; l < phase.links; ++l) stretches += block_count<T>(phase) * split(phase, l).tiles;
            tiles += block_count<T>(phase) * each(phase);
        }
        phases_ = arena.take<Tile*>(program_.phases);
        tiles_ = arena.take<Tile>(tiles);
        stretches_ = arena.take<Stretch<F>>(stretches);
        edges_ = arena.take<T>(chains * Vector<T>::width);
    }

    // Chain c of a lane is at registers + (c * kMaxLanes + lane) * width.
    void prepare(const Lanes<T>& lanes, const Factors<T, F>& sources, T* registers, int width) {
        registers_ = registers, width_ = width;
        Tile* tile = tiles_;
        Stretch<F>* stretch = stretches_;
        T* edges = edges_;
        for (int k = 0; k < program_.phases; ++k, edges += program_.phase[k - 1].chains * Vector<T>::width) {
            const Phase& phase = program_.phase[k];
            phases_[k] = tile;
            for (int block = 0; block < block_count<T>(phase); ++block)
                for (int l = 0; l < phase.links; l += joined(phase, l))
                    for (int t = 0; t < split(phase, l).tiles; ++t, ++tile) {
                        *tile = {split(phase, l).width(t), joined(phase, l), stretch, {}, {}};
                        place(*tile, phase, l, block, t, edges);
                        for (int j = l; j < l + tile->stretches; ++j)
                            *stretch++ = {sources.rows(phase, j, lanes), panel(phase, j, block, t), factors<F>(phase.link[j].depth)};
                    }
        }
    }

    // Adds to the chains of some blocks of phase k their products, for `lanes` lanes, the first of which is `lane`.
    void multiply(int k, int block, int blocks, int lane, int lanes) const {
        const int count = each(program_.phase[k]);
        const Tile* tile = phases_[k] + static_cast<ptrdiff_t>(block) * count;
        for (const Tile* behind = tile + static_cast<ptrdiff_t>(blocks) * count; tile < behind; ++tile)
            tile_of<T, F>(lanes, tile->vectors)(tile->stretch, tile->stretches, lane, 1, tile->begin, tile->out, width_);
    }

    // Whether a chain begins alike in all lanes: with a parameter, or from zero. Then a tile begins it.
    bool begins_alike(int start) const { return start < 0 || program_.array[start].kind == Kind::kVector; }

private:
    struct Tile {
        int vectors, stretches;
        const Stretch<F>* stretch;
        Begin<T> begin[kMaxVectors];
        T* out[kMaxVectors];
    };

    static TileSplit split(const Phase& phase, int l) { return TileSplit(phase.link[l].products * phase.vectors); }

    // Links from l on that add to the same chains.
    static int joined(const Phase& phase, int l) {
        int behind = l + 1;
        while (behind < phase.links && alike(phase.link[l], phase.link[behind])) ++behind;
        return behind - l;
    }

    static bool alike(const Link& a, const Link& b) {
        for (int p = 0; p < a.products; ++p)
            if (p >= b.products || a.product[p].chain != b.product[p].chain) return false;
        return a.products == b.products;
    }

    // Tiles of a block.
    static int each(const Phase& phase) {
        int tiles = 0;
        for (int l = 0; l < phase.links; l += joined(phase, l)) tiles += split(phase, l).tiles;
        return tiles;
    }

    const F* panel(const Phase& phase, int l, int block, int t) const {
        const Link& link = phase.link[l];
        return static_cast<const F*>(run_.panels[link.panel]) + block_panel<T, F>(phase, link) * block +
               static_cast<ptrdiff_t>(factors<F>(link.depth)) * split(phase, l).begin(t) * Vector<T>::width;
    }

    // Where tile t of a block begins and ends.
    void place(Tile& tile, const Phase& phase, int l, int block, int t, T* edges) const {
        constexpr int width = Vector<T>::width;
        for (int j = 0; j < tile.vectors; ++j) {
            const int at = split(phase, l).begin(t) + j;
            const Product& product = phase.link[l].product[at / phase.vectors];
            const int unit = (block * phase.vectors + at % phase.vectors) * width;
            tile.out[j] = registers_ + static_cast<ptrdiff_t>(product.chain) * kMaxLanes * width_ + unit % code_units<T>(phase);
            tile.begin[j] = {tile.out[j], width_};
            const int start = phase.starts[product.chain];
            if (product.first && begins_alike(start)) tile.begin[j] = {alike_row(phase, start, unit, edges + product.chain * width), 0};
        }
    }

    // A vector of what a chain begins with in all lanes; at the edge of the units a copy of it, filled up with zeros.
    const T* alike_row(const Phase& phase, int start, int unit, T* edge) const {
        constexpr int width = Vector<T>::width;
        alignas(64) static constexpr T zeros[width] = {};
        if (start < 0 || unit >= phase.size) return zeros;
        const T* row = run_.bindings[start].base + unit;
        if (unit + width <= phase.size) return row;
        load_row<T>(edge, row, width, phase.size - unit);
        return edge;
    }

    const Run<T>& run_;
    const Program& program_;
    Tile** phases_;  // [phase]: its first tile
    Tile* tiles_;    // [phase][block][tile]
    Stretch<F>* stretches_;
    T* edges_;  // [phase][chain]: a vector
    T* registers_ = nullptr;
    int width_ = 0;
};

}  // namespace
}  // namespace elman
