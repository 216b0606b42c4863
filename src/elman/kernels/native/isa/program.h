// A program bound to sizes, and one run of it, as plain structures: what the host hands to an instruction-set file.
//
// T is float or double. Sizes count elements, never bytes. Every pointer is borrowed for the length of the call, and scratch
// memory comes from `Run::workspace`, which belongs to the calling thread and gives null where there is none left. Outputs never
// overlap inputs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "host/threads.h"
#include "isa/operations.h"

namespace elman {

// Operations of the pointwise program: those of the table, then what takes all units of a row.
enum Op : int32_t {
#define ELMAN_ENUMERATOR(op, name, operands, vectors, value) op,
    ELMAN_OPERATIONS(ELMAN_ENUMERATOR)
#undef ELMAN_ENUMERATOR
    kShift,    // unit u is unit u - b of a, round the end; a is memory that is complete when the phase begins
    kSum,      // the sum of a over all units, complete when the phase ends
    kLargest,  // the largest of them, or a NaN
    kOpCount
};

// target <- op(a, b, c). An operand is a register, or ~k for array k, whose rows are read or written in place; `spread` has a
// bit for each operand that is a single number in a phase of vectors. A sum's target is its place among the sums of the phase,
// and `array` where it goes.
struct Instruction {
    int32_t op, target, a, b, c;
    int32_t spread;
    int32_t array;
};

// One product of a link: which chain it is added to, which matrix it multiplies by, and whether the chain begins with it.
struct Product {
    int32_t chain, matrix;
    bool first;
};

// One source vector and its products, packed together: panels[block][tile][k][vectors of the tile].
struct Link {
    int32_t source;     // array
    int32_t depth;      // elements of the source: the K of its products
    int32_t products;   // how many
    const Product* product;
    int32_t panel;      // index into Run::panels
};

struct Phase {
    int32_t size;       // units
    int32_t vectors;    // vectors in a block of units, for the tiles
    int32_t tiles;      // such blocks that the code runs over at once
    int32_t lanes;      // lanes that go together: through a tile, or through a run of phases without products
    int32_t run;        // phases of the run that begins here; 1 for a phase with products, 0 inside a run
    int32_t chains;
    const int32_t* starts;  // an array for each chain, or -1
    int32_t links;
    const Link* link;
    int32_t code;
    const Instruction* instruction;
    int32_t registers;
    int32_t sums;       // how many kSum
    int32_t touched;    // of a run without products: arrays whose rows move from step to step and that its code reads or writes
    const int32_t* touch;
};

enum class Kind : int32_t {
    kRow,      // base + row * stride
    kVector,   // base
    kCarry,    // what recurrent value `index` was before the step
    kNext,     // what it will be
    kBefore,   // what the forward state `index` was before the step (in the derivative's program)
    kScratch,  // memory of the lane
    kSummed,   // base + lane * stride
    kConstant, // number `index` of the program
};

struct Array {
    Kind kind;
    int32_t index;
    int32_t size;
    int32_t turns;  // scratch that only lanes going together use: their number, so that all such groups share it; else 0
};

struct Program {
    int32_t arrays;
    const Array* array;
    int32_t phases;
    const Phase* phase;
    int32_t recurrents;  // values that run from step to step
    int32_t befores;
    int32_t registers;   // the most of any phase
    int32_t sums;        // the most of any phase
    int32_t panels;
    const double* number;  // what constants are
};

// Memory of one array. kRow: the row of step `row` is base + (rows ? rows[row] : row) * stride; kSummed: of lane `lane` of the
// plan, base + lane * stride.
template <class T>
struct Binding {
    T* base;
    ptrdiff_t stride;
    const int64_t* rows;
};

// A value that runs from step to step, or a forward state that the derivative looks at.
// sequence [N, stride] keeps every step's value (null: only the last is kept); initial and final are [., size] or null;
// `start` is a row of `size` elements for segments without an initial row.
template <class T>
struct Recurrent {
    T* sequence;
    ptrdiff_t stride;
    int32_t size;
    const T* initial;
    T* final;
    const T* start;
};

// A lane plan (elman.sequences.lanes): lane l carries segments lanes[l] to lanes[l+1]; a segment is (position of its first row in
// `rows`, length, initial row or -1, final row or -1).
struct Plan {
    const int32_t* rows;
    const int32_t* segments;
    const int32_t* lanes;
    int32_t lane_count;
    int32_t segment_count;
    int64_t steps;
};

// Where the threads of a run meet that share every step. `leader` is the first of them, whose memory the others use; where one of
// them has no memory to work in, all give up.
struct Meeting {
    Barrier barrier;
    const void* leader = nullptr;
    bool given_up = false;  // written and read by atomic built-ins
};

template <class T>
struct Run {
    const Program* program;
    const Binding<T>* bindings;
    const Recurrent<T>* recurrents;
    const Recurrent<T>* befores;
    const void* const* panels;
    const Plan* plan;      // null: every row by itself, `steps` of them
    int64_t steps;
    bool backward;         // walk each segment from its end
    void* (*workspace)(size_t bytes);
    Meeting* meeting;      // null: lanes are shared out; else each thread takes units of all lanes
};

// How a matrix lies: element (row, column) is at base[row * row_stride + column * column_stride].
template <class T>
struct MatrixView {
    const T* base;
    ptrdiff_t row_stride, column_stride;
};

// Adds the sum over positions of d ⊗ v to out[m, k], for the units m of all `parts` in turn.
template <class T>
struct OuterPart {
    const T* d;            // [N, stride]
    ptrdiff_t stride;
    int32_t size;
    T* out;                // element (m, k) is at out[m * row_stride + k * column_stride]
    ptrdiff_t row_stride, column_stride;
};

template <class T>
struct Outer {
    const OuterPart<T>* part;
    int32_t parts;
    const T* const* source;    // a row of `depth` elements for each position
    const int32_t* rows;       // the row of d for each position
    int64_t positions;
    int32_t depth;
    void* (*workspace)(size_t bytes);
};

// out[m] = the sum over rows of d[row, m].
template <class T>
struct ColumnSum {
    const T* d;
    ptrdiff_t stride;
    int64_t rows;
    int32_t size;
    T* out;
};

// out[token, m] += d[row, m] for every row; a row's token is tokens[row].
template <class T>
struct TokenSum {
    const T* d;
    ptrdiff_t stride;
    const int64_t* tokens;
    int64_t rows;
    int32_t size;
    T* out;
    ptrdiff_t out_stride;
};

}  // namespace elman
