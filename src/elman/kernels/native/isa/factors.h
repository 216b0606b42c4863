// What products multiply the panels by: the rows of a link's source, as they lie or rounded to pairs of bfloat16.
#pragma once

#include "isa/bfloat16.h"
#include "isa/lanes.h"

namespace elman {
namespace {

template <class T, class F>
class Factors {
public:
    void lay_out(Arena&, const Program&, int) {}
    void begin(const Phase&, const Lanes<T>&, int) {}

    // The rows of link l, lane by lane.
    const F* const* rows(const Phase& phase, int l, const Lanes<T>& lanes) const {
        return lanes.pointers() + static_cast<ptrdiff_t>(phase.link[l].source) * lanes.capacity();
    }
};

template <>
class Factors<float, Pair> {
public:
    // Takes what the widest phase needs, for `capacity` lanes.
    void lay_out(Arena& arena, const Program& program, int capacity) {
        size_t words = 0;
        int links = 0;
        for (int k = 0; k < program.phases; ++k) {
            size_t wide = 0;
            for (int l = 0; l < program.phase[k].links; ++l) wide += width(program.phase[k].link[l]);
            words = wide > words ? wide : words;
            links = program.phase[k].links > links ? program.phase[k].links : links;
        }
        capacity_ = capacity;
        memory_ = arena.take<Pair>(words * capacity);
        rows_ = arena.take<const Pair*>(static_cast<size_t>(links) * capacity);
    }

    // Rounds the sources of a phase, of the lanes that are active.
    void begin(const Phase& phase, const Lanes<float>& lanes, int active) {
        Pair* to = memory_;
        for (int l = 0; l < phase.links; ++l) {
            const Link& link = phase.link[l];
            for (int lane = 0; lane < active; ++lane, to += width(link)) {
                round_row(to, lanes.pointers()[static_cast<ptrdiff_t>(link.source) * capacity_ + lane], link.depth);
                rows_[static_cast<ptrdiff_t>(l) * capacity_ + lane] = to;
            }
        }
    }

    const Pair* const* rows(const Phase&, int l, const Lanes<float>&) const { return rows_ + static_cast<ptrdiff_t>(l) * capacity_; }

private:
    // Words between the rows of two lanes: whole vectors.
    static int width(const Link& link) { return (factors<Pair>(link.depth) + 15) / 16 * 16; }

    int capacity_;
    Pair* memory_;
    const Pair** rows_;
};

}  // namespace
}  // namespace elman
