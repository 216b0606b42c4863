// The walk: lanes go through their sequences step by step, every step goes through the phases of the program.
//
// A worker owns some lanes and needs nobody else. At each step it points every array at each lane's row, then runs the phases.
// A phase with products goes block of units by block of units, a few lanes at a time, first the chains and at once the code on
// them. Through phases without products a few lanes go together from the first to the last, in the first-level cache.
//
// Where lanes are few or the matrices outgrow the cache, the workers share every step instead: all go through all lanes, each
// with blocks of units of its own, or where there are no products groups of lanes, and meet after each phase. Rows from step to
// step are then in the first worker's memory.
#pragma once

#include "interpret.h"
#include "pack.h"

namespace elman {
namespace {

constexpr int kLaneChunk = 48;  // lanes that walk together: their rows stay in the second-level cache
constexpr int kRowChunk = 192;  // rows of a program without steps

// Hands out a worker's scratch memory, each piece on a cache line of its own; without memory it only counts the bytes.
struct Arena {
    char* memory;
    size_t used = 0;
    template <class P>
    P* take(size_t count) {
        P* p = memory ? reinterpret_cast<P*>(memory + used) : nullptr;
        used += (count * sizeof(P) + 63) / 64 * 64;
        return p;
    }
};

struct Lane {
    const int32_t* segment;  // start, length, initial, final
    const int32_t* last;     // behind the lane's last segment
    int32_t step;            // steps of the segment that are done
};

template <class T>
class Worker {
public:
    Worker(const Run<T>& run, int capacity, int index, int count)
        : run_(run), program_(*run.program), capacity_(capacity), index_(run.meeting ? index : 0), count_(run.meeting ? count : 1) {
        Arena measure{nullptr};
        lay_out(measure);
        Arena arena{static_cast<char*>(run.workspace(measure.used))};
        lay_out(arena);
        if (run.meeting) {
            if (index_ == 0) run.meeting->leader = this;
            meet();
            const Worker& leader = *static_cast<const Worker*>(run.meeting->leader);
            if (index_ > 0) common_ = leader.common_, turns_ = leader.turns_;
            meet();  // before the leader takes rows from it
        }
        for (int k = 0; k < program_.arrays; ++k) point_fixed(k);
    }

    // Lanes first, first + stride, … below the plan's count: `lanes` of them, each to its end.
    void walk(int first, int stride, int lanes) {
        const Plan& plan = *run_.plan;
        int active = lanes;
        for (int i = 0; i < lanes; ++i) {
            const int32_t lane = first + i * stride;
            lanes_[i] = {plan.segments + 4 * plan.lanes[lane], plan.segments + 4 * plan.lanes[lane + 1], 0};
            for (int k = 0; k < program_.arrays; ++k)
                if (program_.array[k].kind == Kind::kSummed) pointer(k, i) = run_.bindings[k].base + lane * run_.bindings[k].stride;
            skip_empty(i);
        }
        for (int64_t t = 0;; ++t) {
            while (active > 0 && lanes_[active - 1].segment == lanes_[active - 1].last) --active;  // lanes fall in length
            if (active == 0) return;
            for (int i = 0; i < active; ++i) point(i, static_cast<int>(t & 1));
            phases(active);
            for (int i = 0; i < active; ++i) advance(i);
        }
    }

    void meet() {
        if (count_ > 1) run_.meeting->barrier.wait(count_);
    }

    // Rows first to first + rows, each by itself.
    void visit(int64_t first, int rows) {
        for (int k = 0; k < program_.arrays; ++k) {
            if (program_.array[k].kind != Kind::kRow) continue;
            for (int i = 0; i < rows; ++i) pointer(k, i) = row_of(run_.bindings[k], first + i);
        }
        phases(rows);
    }

private:
    void lay_out(Arena& arena) {
        const Program& p = program_;
        pointers_ = arena.take<T*>(static_cast<size_t>(p.arrays) * capacity_);
        lanes_ = arena.take<Lane>(capacity_);
        carry_ = arena.take<T*>(static_cast<size_t>(p.recurrents) * capacity_);
        next_ = arena.take<T*>(static_cast<size_t>(p.recurrents) * capacity_);
        for (int k = 0; k < p.phases; ++k) {
            const int units = code_units<T>(p.phase[k]);
            width_ = units > width_ ? units : width_;
        }
        T* registers = arena.take<T>(static_cast<size_t>(p.registers) * kMaxLanes * width_);
        registers_ = arena.take<T*>(static_cast<size_t>(p.registers) * kMaxLanes);
        for (int r = 0; arena.memory && r < p.registers * kMaxLanes; ++r) registers_[r] = registers + r * width_;
        numbers_ = arena.take<T>(static_cast<size_t>(p.arrays));
        sums_ = arena.take<T>(static_cast<size_t>(p.sums) * capacity_ * Vector<T>::width);
        for (int pass = 0; pass < 2; ++pass) {
            const bool common = pass == 1;
            (common ? common_ : own_) = arena;
            for (int k = 0; k < p.arrays; ++k)
                if (p.array[k].kind == Kind::kScratch && common == (p.array[k].turns == 0))
                    arena.take<T>(static_cast<size_t>(p.array[k].size) * scratch_rows(p.array[k]));
        }
        turns_ = arena;
        for (int r = 0; run_.plan && r < p.recurrents; ++r)
            if (!run_.recurrents[r].sequence) arena.take<T>(static_cast<size_t>(2) * capacity_ * run_.recurrents[r].size);
    }

    int scratch_rows(const Array& array) const { return array.turns ? array.turns : capacity_; }

    T*& pointer(int array, int lane) { return pointers_[static_cast<ptrdiff_t>(array) * capacity_ + lane]; }

    static T* row_of(const Binding<T>& b, int64_t row) { return b.base + (b.rows ? b.rows[row] : row) * b.stride; }

    // What does not move from step to step: parameters, numbers and scratch rows.
    void point_fixed(int k) {
        const Array& array = program_.array[k];
        if (array.kind == Kind::kVector)
            for (int i = 0; i < capacity_; ++i) pointer(k, i) = run_.bindings[k].base;
        if (array.kind == Kind::kConstant) {
            numbers_[k] = static_cast<T>(program_.number[array.index]);
            for (int i = 0; i < capacity_; ++i) pointer(k, i) = numbers_ + k;
        }
        if (array.kind == Kind::kScratch) {
            const int count = scratch_rows(array);
            T* rows = (array.turns ? own_ : common_).template take<T>(static_cast<size_t>(array.size) * count);
            for (int i = 0; i < capacity_; ++i) pointer(k, i) = rows + static_cast<ptrdiff_t>(i % count) * array.size;
        }
    }

    void point(int i, int turn) {
        const Lane& lane = lanes_[i];
        const int32_t length = lane.segment[1];
        const int32_t place = lane.segment[0] + (run_.backward ? length - 1 - lane.step : lane.step);
        const int64_t row = run_.plan->rows[place];
        Arena turns = turns_;
        for (int r = 0; r < program_.recurrents; ++r) {
            const Recurrent<T>& value = run_.recurrents[r];
            if (lane.step == 0) carry_[r * capacity_ + i] = entry(value, lane.segment[run_.backward ? 3 : 2]);
            T* memory = value.sequence;
            if (memory)
                memory += row * value.stride;
            else
                memory = turns.take<T>(static_cast<size_t>(2) * capacity_ * value.size) +
                         static_cast<ptrdiff_t>(2 * i + turn) * value.size;
            next_[r * capacity_ + i] = memory;
        }
        for (int k = 0; k < program_.arrays; ++k) {
            const Array& array = program_.array[k];
            switch (array.kind) {
                case Kind::kRow: pointer(k, i) = row_of(run_.bindings[k], row); break;
                case Kind::kCarry: pointer(k, i) = carry_[array.index * capacity_ + i]; break;
                case Kind::kNext: pointer(k, i) = next_[array.index * capacity_ + i]; break;
                case Kind::kBefore: pointer(k, i) = before(run_.befores[array.index], lane.segment, place); break;
                default: break;
            }
        }
    }

    // The row that a recurrent value begins a segment with.
    static T* entry(const Recurrent<T>& value, int32_t initial) {
        const T* row = initial >= 0 && value.initial ? value.initial + static_cast<ptrdiff_t>(initial) * value.size : value.start;
        return const_cast<T*>(row);  // read only: the program loads it
    }

    T* before(const Recurrent<T>& state, const int32_t* segment, int32_t place) const {
        if (place == segment[0]) return entry(state, segment[2]);
        return state.sequence + run_.plan->rows[place - 1] * state.stride;
    }

    void advance(int i) {
        Lane& lane = lanes_[i];
        for (int r = 0; r < program_.recurrents; ++r) carry_[r * capacity_ + i] = next_[r * capacity_ + i];
        if (++lane.step < lane.segment[1]) return;
        for (int r = 0; r < program_.recurrents; ++r) leave(run_.recurrents[r], lane.segment, carry_[r * capacity_ + i]);
        lane.segment += 4;
        lane.step = 0;
        skip_empty(i);
    }

    // What a recurrent value is after a segment goes to the segment's final row.
    void leave(const Recurrent<T>& value, const int32_t* segment, const T* row) const {
        const int32_t final = segment[run_.backward ? 2 : 3];
        if (final < 0 || !value.final || index_ > 0) return;
        __builtin_memcpy(value.final + static_cast<ptrdiff_t>(final) * value.size, row, value.size * sizeof(T));
    }

    // A sequence without steps ends as it begins.
    void skip_empty(int i) {
        Lane& lane = lanes_[i];
        for (; lane.segment != lane.last && lane.segment[1] == 0; lane.segment += 4)
            for (int r = 0; r < program_.recurrents; ++r) {
                const Recurrent<T>& value = run_.recurrents[r];
                leave(value, lane.segment, entry(value, lane.segment[run_.backward ? 3 : 2]));
            }
    }

    void phases(int active) {
        for (int k = 0; k < program_.phases; k += program_.phase[k].run) {
            if (program_.phase[k].links)
                run_chains(program_.phase[k], active);
            else
                run_together(program_.phase + k, active);
            meet();
        }
    }

    // A run of phases without products: some lanes after the others, each through all of it.
    void run_together(const Phase* phase, int active) {
        const int group = phase->lanes;
        for (int lane = index_ * group; lane < active; lane += count_ * group) {
            const int next = lane + count_ * group, behind = next + group < active ? next + group : active;
            Ahead<T> ahead(program_, *phase, pointers_, capacity_, next, behind);
            for (int j = 0; j < phase->run; ++j) run_code(phase[j], lane, active - lane < group ? active - lane : group, ahead);
        }
    }

    // The part of a phase that some lanes and a block of units are.
    Frame<T> frame(const Phase& phase, int lane, int lanes, int unit) const {
        const int block = code_units<T>(phase), rest = phase.size - unit;
        return {lanes,  unit, rest < block ? rest : block, registers_, pointers_ + lane, capacity_,
                sums_ + static_cast<ptrdiff_t>(lane) * Vector<T>::width};
    }

    void run_code(const Phase& phase, int lane, int lanes, Ahead<T>& ahead) {
        for (int unit = 0; unit < phase.size; unit += code_units<T>(phase)) {
            const Frame<T> f = frame(phase, lane, lanes, unit);
            begin_chains(phase, f);
            execute(phase, f, ahead);
        }
        if (phase.sums) finish_sums(phase, lane, lanes);
    }

    void run_chains(const Phase& phase, int active) {
        const int parts = static_cast<int>(ceil_div(active, phase.lanes));
        const int64_t blocks = ceil_div(phase.size, code_units<T>(phase));
        const int first = static_cast<int>(share(blocks, count_, index_)), last = static_cast<int>(share(blocks, count_, index_ + 1));
        for (int block = first; block < last; ++block) {
            const int unit = block * code_units<T>(phase);
            for (int part = 0; part < parts; ++part) {
                const int lane = static_cast<int>(share(active, parts, part));
                const Frame<T> f = frame(phase, lane, static_cast<int>(share(active, parts, part + 1)) - lane, unit);
                begin_chains(phase, f);
                for (int u = 0; u < f.units; u += block_units<T>(phase)) multiply(phase, f, u);
                Ahead<T> none(program_, phase, pointers_, capacity_, 0, 0);
                execute(phase, f, none);
            }
        }
        if (phase.sums) finish_sums(phase, 0, active);
    }

    // Fills the chains that no tile begins.
    void begin_chains(const Phase& phase, const Frame<T>& f) {
        const int block = code_units<T>(phase);
        for (int c = 0; c < phase.chains; ++c) {
            if (phase.links && begins_alike(phase.starts[c])) continue;
            for (int lane = 0; lane < f.lanes; ++lane) {
                T* chain = f.registers[c * kMaxLanes + lane];
                if (phase.starts[c] >= 0)
                    load_row<T>(chain, f.rows[phase.starts[c] * f.stride + lane] + f.unit, block, f.units);
                else
                    __builtin_memset(chain, 0, sizeof(T) * block);
            }
        }
    }

    // Whether a chain begins alike in all lanes: with a parameter, or from zero.
    bool begins_alike(int start) const { return start < 0 || program_.array[start].kind == Kind::kVector; }

    // Where the vector of a chain begins that is at `out` in the first lane and at unit u of the frame.
    Begin<T> begin(const Phase& phase, const Product& product, const Frame<T>& f, int u, T* out) const {
        constexpr int width = Vector<T>::width;
        alignas(64) static constexpr T zeros[width] = {};
        const int start = phase.starts[product.chain];
        if (!product.first || !begins_alike(start)) return {out, width_};
        if (start < 0) return {zeros, 0};
        const T* row = f.rows[start * f.stride] + f.unit + u;
        if (u + width <= f.units) return {row, 0};
        load_row<T>(out, row, width, f.units - u);  // in the first lane, for all of them
        return {out, 0};
    }

    // Adds the products of one block of units, the u-th of the frame and those behind it, to their chains.
    void multiply(const Phase& phase, const Frame<T>& f, int u) {
        const int block = (f.unit + u) / block_units<T>(phase);
        for (int l = 0; l < phase.links; ++l) {
            const Link& link = phase.link[l];
            const TileSplit split(link.products * phase.vectors);
            const T* panel = run_.panels[link.panel] + block_panel<T>(phase, link) * block;
            T* const* rows = f.rows + static_cast<ptrdiff_t>(link.source) * f.stride;
            for (int t = 0; t < split.tiles; ++t) {
                T* out[kMaxVectors];
                Begin<T> from[kMaxVectors];
                for (int j = 0; j < split.width(t); ++j) {
                    const int place = split.begin(t) + j, unit = u + place % phase.vectors * Vector<T>::width;
                    const Product& product = link.product[place / phase.vectors];
                    out[j] = f.registers[product.chain * kMaxLanes] + unit;
                    from[j] = begin(phase, product, f, unit, out[j]);
                }
                tile_of<T>(f.lanes, split.width(t))(link.depth, rows, 1, panel, from, out, width_);
                panel += static_cast<size_t>(link.depth) * split.width(t) * Vector<T>::width;
            }
        }
    }

    void finish_sums(const Phase& phase, int lane, int lanes) {
        for (int c = 0; c < phase.code; ++c) {
            const Instruction& code = phase.instruction[c];
            if (code.op != kSum) continue;
            const T* totals = sums_ + static_cast<ptrdiff_t>(code.target) * capacity_ * Vector<T>::width;
            for (int i = lane; i < lane + lanes; ++i)
                pointer(code.array, i)[0] = sum_of<T>(totals + static_cast<ptrdiff_t>(i) * Vector<T>::width);
        }
    }

    const Run<T>& run_;
    const Program& program_;
    int capacity_;
    T** pointers_;
    Lane* lanes_;
    T** carry_;  // [recurrent][lane]: the value before the step
    T** next_;   // and where the one after it goes
    T** registers_;  // [register][lane]: a block of `width_` elements
    int width_ = 1;
    T* numbers_;     // [array]: constants
    T* sums_;
    Arena own_, common_, turns_;  // scratch of this worker's lanes, of all; states that are not kept
    int index_, count_;           // of the workers that share the steps
};

template <class T>
void run(const Run<T>& run, int index, int count) {
    if (!run.plan) {
        const int64_t first = share(run.steps, count, index), last = share(run.steps, count, index + 1);
        if (first == last) return;
        Worker<T> worker(run, static_cast<int>(last - first < kRowChunk ? last - first : kRowChunk), 0, 1);
        for (int64_t row = first; row < last; row += kRowChunk)
            worker.visit(row, static_cast<int>(last - row < kRowChunk ? last - row : kRowChunk));
        return;
    }
    const int stride = run.meeting ? 1 : count, first = run.meeting ? 0 : index;
    const int mine = static_cast<int>(ceil_div(run.plan->lane_count - first, stride));
    if (mine <= 0) return;
    Worker<T> worker(run, mine < kLaneChunk ? mine : kLaneChunk, index, count);
    const int chunks = static_cast<int>(ceil_div(mine, kLaneChunk));
    for (int c = 0; c < chunks; ++c) {
        const int begin = static_cast<int>(share(mine, chunks, c)), end = static_cast<int>(share(mine, chunks, c + 1));
        worker.walk(first + begin * stride, stride, end - begin);
    }
    worker.meet();  // the first worker's memory is in use until all are here
}

// Whether the steps of a program can be shared: a sum over units beside products would be added up in another order.
template <class T>
bool shares_steps(const Program& program, int threads) {
    bool any = false;
    for (int k = 0; k < program.phases; ++k) {
        const Phase& phase = program.phase[k];
        if (phase.links == 0) continue;
        any = true;
        if (phase.sums || ceil_div(phase.size, code_units<T>(phase)) < threads) return false;
    }
    return any;
}

}  // namespace
}  // namespace elman
