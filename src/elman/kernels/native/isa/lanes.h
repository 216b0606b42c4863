// The lanes of a worker: where each stands in its sequences, and where its rows lie.
//
// Before each step every array is pointed at each lane's row; after it, what the recurrent values became is what they were. Rows
// of values that nobody keeps, and scratch, are in the worker's memory. Where workers share every step, each knows all lanes,
// and the rows that outlive a phase are in the first worker's memory.
#pragma once

#include "isa/program.h"

namespace elman {
namespace {

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
class Lanes {
public:
    Lanes(const Run<T>& run, int capacity, int index) : run_(run), program_(*run.program), capacity_(capacity), index_(index) {}

    // Takes what the lanes need; again, in the same order, once the memory is there.
    void lay_out(Arena& arena) {
        const Program& p = program_;
        pointers_ = arena.take<T*>(static_cast<size_t>(p.arrays) * capacity_);
        lanes_ = arena.take<Lane>(capacity_);
        rows_ = arena.take<int64_t>(capacity_);
        carry_ = arena.take<T*>(static_cast<size_t>(p.recurrents) * capacity_);
        next_ = arena.take<T*>(static_cast<size_t>(p.recurrents) * capacity_);
        numbers_ = arena.take<T>(static_cast<size_t>(p.arrays));
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

    // The rows that workers share are the leader's.
    void share_rows(const Lanes& leader) { common_ = leader.common_, turns_ = leader.turns_; }

    // What does not move from step to step: parameters, numbers and scratch rows.
    void point_fixed() {
        for (int k = 0; k < program_.arrays; ++k) point_fixed(k);
    }

    // Puts lanes first, first + stride, … of the plan, `lanes` of them, before their first steps.
    void begin(int first, int stride, int lanes) {
        const Plan& plan = *run_.plan;
        active_ = lanes;
        for (int i = 0; i < lanes; ++i) {
            const int32_t lane = first + i * stride;
            lanes_[i] = {plan.segments + 4 * plan.lanes[lane], plan.segments + 4 * plan.lanes[lane + 1], 0};
            for (int k = 0; k < program_.arrays; ++k)
                if (program_.array[k].kind == Kind::kSummed) pointer(k, i) = run_.bindings[k].base + lane * run_.bindings[k].stride;
            skip_empty(i);
        }
    }

    // Points at the rows of step t, counted from the beginning of the walk, and says how many lanes have one.
    int point(int64_t t) {
        while (active_ > 0 && lanes_[active_ - 1].segment == lanes_[active_ - 1].last) --active_;  // lanes fall in length
        for (int i = 0; i < active_; ++i) rows_[i] = run_.plan->rows[place(lanes_[i])];
        point_recurrents(static_cast<int>(t & 1));
        for (int k = 0; k < program_.arrays; ++k) point(k);
        return active_;
    }

    void advance() {
        T** before = carry_;
        carry_ = next_;
        next_ = before;
        for (int i = 0; i < active_; ++i)
            if (++lanes_[i].step == lanes_[i].segment[1]) leave(i);
    }

    // Points at rows first to first + rows of a program without steps.
    void visit(int64_t first, int rows) {
        for (int k = 0; k < program_.arrays; ++k) {
            if (program_.array[k].kind != Kind::kRow) continue;
            for (int i = 0; i < rows; ++i) pointer(k, i) = row_of(run_.bindings[k], first + i);
        }
    }

    int capacity() const { return capacity_; }
    T* const* pointers() const { return pointers_; }  // [array][lane]
    T*& pointer(int array, int lane) { return pointers_[static_cast<ptrdiff_t>(array) * capacity_ + lane]; }

private:
    int scratch_rows(const Array& array) const { return array.turns ? array.turns : capacity_; }

    static T* row_of(const Binding<T>& b, int64_t row) { return b.base + (b.rows ? b.rows[row] : row) * b.stride; }

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

    // The position of a lane's step among the plan's rows.
    int32_t place(const Lane& lane) const {
        return lane.segment[0] + (run_.backward ? lane.segment[1] - 1 - lane.step : lane.step);
    }

    void point_recurrents(int turn) {
        Arena turns = turns_;
        for (int r = 0; r < program_.recurrents; ++r) {
            const Recurrent<T>& value = run_.recurrents[r];
            T** carry = carry_ + static_cast<ptrdiff_t>(r) * capacity_;
            for (int i = 0; i < active_; ++i)
                if (lanes_[i].step == 0) carry[i] = entry(value, lanes_[i].segment[run_.backward ? 3 : 2]);
            T** next = next_ + static_cast<ptrdiff_t>(r) * capacity_;
            if (value.sequence) {
                for (int i = 0; i < active_; ++i) next[i] = value.sequence + rows_[i] * value.stride;
            } else {
                T* memory = turns.take<T>(static_cast<size_t>(2) * capacity_ * value.size) + turn * value.size;
                for (int i = 0; i < active_; ++i) next[i] = memory + static_cast<ptrdiff_t>(2 * i) * value.size;
            }
        }
    }

    void point(int k) {
        const Array& array = program_.array[k];
        T** to = &pointer(k, 0);
        switch (array.kind) {
            case Kind::kRow:
                for (int i = 0; i < active_; ++i) to[i] = row_of(run_.bindings[k], rows_[i]);
                break;
            case Kind::kCarry: __builtin_memcpy(to, carry_ + array.index * capacity_, active_ * sizeof(T*)); break;
            case Kind::kNext: __builtin_memcpy(to, next_ + array.index * capacity_, active_ * sizeof(T*)); break;
            case Kind::kBefore:
                for (int i = 0; i < active_; ++i) to[i] = before(run_.befores[array.index], lanes_[i].segment, place(lanes_[i]));
                break;
            default: break;
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

    // A lane whose segment is done goes to the next one.
    void leave(int i) {
        Lane& lane = lanes_[i];
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

    const Run<T>& run_;
    const Program& program_;
    int capacity_, active_ = 0;
    int index_;  // of the workers that share the steps
    T** pointers_;
    Lane* lanes_;
    int64_t* rows_;  // [lane]: the row of its step
    T** carry_;   // [recurrent][lane]: the value before the step
    T** next_;    // and where the one after it goes
    T* numbers_;  // [array]: constants
    Arena own_, common_, turns_;  // scratch of this worker's lanes, of all; states that are not kept
};

}  // namespace
}  // namespace elman
