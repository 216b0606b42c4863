// The walk: lanes go through their sequences step by step, every step goes through the phases of the program.
//
// A worker owns some lanes and needs nobody else. A phase with products goes block of units by block of units, a few lanes at a
// time, first the chains and at once the code on them. Through phases without products a few lanes go together from the first to
// the last, in the first-level cache.
//
// Where lanes are few or the matrices outgrow the cache, the workers share every step instead: all go through all lanes, each
// with blocks of units of its own, or where there are no products groups of lanes, and meet after each phase.
//
// F are the factors of the products (factors.h).
#pragma once

#include "isa/interpret.h"
#include "isa/lanes.h"
#include "isa/tiles.h"

namespace elman {
namespace {

constexpr int kLaneChunk = 64;             // lanes that walk together, or more of them if a step's rows fit in
constexpr size_t kStepBytes = 512 * 1024;  // half of a second-level cache
constexpr int kRowChunk = 192;             // rows of a program without steps

template <class T, class F>
class Worker {
public:
    Worker(const Run<T>& run, int capacity, int index, int count)
        : run_(run),
          program_(*run.program),
          index_(run.meeting ? index : 0),
          count_(run.meeting ? count : 1),
          lanes_(run, capacity, index_),
          tiles_(run) {}

    // Takes memory to work in; false where there is none, for one or, where steps are shared, for any of the workers.
    bool prepare() {
        Arena measure{nullptr};
        lay_out(measure);
        Arena arena{static_cast<char*>(run_.workspace(measure.used))};
        if (arena.memory) lay_out(arena);
        if (!(run_.meeting ? join(arena.memory) : arena.memory != nullptr)) return false;
        lanes_.point_fixed();
        tiles_.prepare(lanes_, factors_, memory_, width_);
        return true;
    }

    // Lanes first, first + stride, … below the plan's count: `lanes` of them, each to its end.
    void walk(int first, int stride, int lanes) {
        lanes_.begin(first, stride, lanes);
        for (int64_t t = 0; const int active = lanes_.point(t); ++t) {
            phases(active);
            lanes_.advance();
        }
    }

    void meet() {
        if (count_ > 1) run_.meeting->barrier.wait(count_);
    }

    // Rows first to first + rows, each by itself.
    void visit(int64_t first, int rows) {
        lanes_.visit(first, rows);
        phases(rows);
    }

private:
    // Uses the leader's rows from now on; false where a worker has no memory.
    bool join(const void* memory) {
        Meeting& meeting = *run_.meeting;
        if (!memory) __atomic_store_n(&meeting.given_up, true, __ATOMIC_RELAXED);
        if (index_ == 0) meeting.leader = &lanes_;
        meet();
        if (__atomic_load_n(&meeting.given_up, __ATOMIC_RELAXED)) return false;
        if (index_ > 0) lanes_.share_rows(*static_cast<const Lanes<T>*>(meeting.leader));
        meet();  // before the leader takes rows from it
        return true;
    }

    void lay_out(Arena& arena) {
        const Program& p = program_;
        for (int k = 0; k < p.phases; ++k) {
            const int units = code_units<T>(p.phase[k]);
            width_ = units > width_ ? units : width_;
        }
        memory_ = arena.take<T>(static_cast<size_t>(p.registers) * kMaxLanes * width_);
        registers_ = arena.take<T*>(static_cast<size_t>(p.registers) * kMaxLanes);
        for (int r = 0; arena.memory && r < p.registers * kMaxLanes; ++r) registers_[r] = memory_ + r * width_;
        sums_ = arena.take<T>(static_cast<size_t>(p.sums) * lanes_.capacity() * Vector<T>::width);
        lanes_.lay_out(arena);
        factors_.lay_out(arena, p, lanes_.capacity());
        tiles_.lay_out(arena);
    }

    void phases(int active) {
        for (int k = 0; k < program_.phases; k += program_.phase[k].run) {
            if (program_.phase[k].links)
                run_chains(k, active);
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
            Ahead<T> ahead(program_, *phase, lanes_.pointers(), lanes_.capacity(), next, behind);
            for (int j = 0; j < phase->run; ++j) run_code(phase[j], lane, active - lane < group ? active - lane : group, ahead);
        }
    }

    // The part of a phase that some lanes and a block of units are.
    Frame<T> frame(const Phase& phase, int lane, int lanes, int unit) const {
        const int block = code_units<T>(phase), rest = phase.size - unit;
        return {lanes,  unit, rest < block ? rest : block, registers_, lanes_.pointers() + lane, lanes_.capacity(),
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

    void run_chains(int k, int active) {
        const Phase& phase = program_.phase[k];
        const int parts = static_cast<int>(ceil_div(active, phase.lanes));
        const int64_t blocks = ceil_div(phase.size, code_units<T>(phase));
        const int first = static_cast<int>(share(blocks, count_, index_)), last = static_cast<int>(share(blocks, count_, index_ + 1));
        if (first < last) factors_.begin(phase, lanes_, active);
        for (int block = first; block < last; ++block) {
            const int unit = block * code_units<T>(phase);
            for (int part = 0; part < parts; ++part) {
                const int lane = static_cast<int>(share(active, parts, part));
                const Frame<T> f = frame(phase, lane, static_cast<int>(share(active, parts, part + 1)) - lane, unit);
                begin_chains(phase, f);
                tiles_.multiply(k, block * phase.tiles, static_cast<int>(ceil_div(f.units, block_units<T>(phase))), lane, f.lanes);
                Ahead<T> none(program_, phase, lanes_.pointers(), lanes_.capacity(), 0, 0);
                execute(phase, f, none);
            }
        }
        if (phase.sums) finish_sums(phase, 0, active);
    }

    // Fills the chains that no tile begins.
    void begin_chains(const Phase& phase, const Frame<T>& f) {
        const int block = code_units<T>(phase);
        for (int c = 0; c < phase.chains; ++c) {
            if (phase.links && tiles_.begins_alike(phase.starts[c])) continue;
            for (int lane = 0; lane < f.lanes; ++lane) {
                T* chain = f.registers[c * kMaxLanes + lane];
                if (phase.starts[c] >= 0)
                    load_row<T>(chain, f.rows[phase.starts[c] * f.stride + lane] + f.unit, block, f.units);
                else
                    __builtin_memset(chain, 0, sizeof(T) * block);
            }
        }
    }

    void finish_sums(const Phase& phase, int lane, int lanes) {
        for (int c = 0; c < phase.code; ++c) {
            const Instruction& code = phase.instruction[c];
            if (code.op < kSum) continue;
            const T* totals = sums_ + static_cast<ptrdiff_t>(code.target) * lanes_.capacity() * Vector<T>::width;
            for (int i = lane; i < lane + lanes; ++i) {
                const T* total = totals + static_cast<ptrdiff_t>(i) * Vector<T>::width;
                lanes_.pointer(code.array, i)[0] = code.op == kSum ? reduced<T, kSum>(total) : reduced<T, kLargest>(total);
            }
        }
    }

    const Run<T>& run_;
    const Program& program_;
    int index_, count_;  // of the workers that share the steps
    Lanes<T> lanes_;
    Factors<T, F> factors_;
    Tiles<T, F> tiles_;
    T* memory_;      // of the registers: [register][lane][width_]
    T** registers_;  // [register][lane]: a block of `width_` elements
    int width_ = 1;
    T* sums_;  // [sum][lane][width of a vector]
};

// Lanes that walk together. Where rows are short, many: rows of one step lie side by side, and are read in long streams.
template <class T>
int lane_chunk(const Program& program) {
    size_t bytes = 1;
    for (int k = 0; k < program.arrays; ++k)
        if (program.array[k].kind != Kind::kVector) bytes += sizeof(T) * program.array[k].size;
    return bytes * kLaneChunk < kStepBytes ? static_cast<int>(kStepBytes / bytes) : kLaneChunk;
}

template <class T, class F>
bool run(const Run<T>& run, int index, int count) {
    if (!run.plan) {
        const int64_t first = share(run.steps, count, index), last = share(run.steps, count, index + 1);
        if (first == last) return true;
        Worker<T, F> worker(run, static_cast<int>(last - first < kRowChunk ? last - first : kRowChunk), 0, 1);
        if (!worker.prepare()) return false;
        for (int64_t row = first; row < last; row += kRowChunk)
            worker.visit(row, static_cast<int>(last - row < kRowChunk ? last - row : kRowChunk));
        return true;
    }
    const int stride = run.meeting ? 1 : count, first = run.meeting ? 0 : index;
    const int mine = static_cast<int>(ceil_div(run.plan->lane_count - first, stride));
    if (mine <= 0) return true;
    const int most = lane_chunk<T>(*run.program), chunks = static_cast<int>(ceil_div(mine, most));
    Worker<T, F> worker(run, mine < most ? mine : most, index, count);
    if (!worker.prepare()) return false;
    for (int c = 0; c < chunks; ++c) {
        const int begin = static_cast<int>(share(mine, chunks, c)), end = static_cast<int>(share(mine, chunks, c + 1));
        worker.walk(first + begin * stride, stride, end - begin);
    }
    worker.meet();  // the first worker's memory is in use until all are here
    return true;
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
