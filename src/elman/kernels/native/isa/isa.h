// What one instruction set offers: the only thing that crosses from an instruction-set file to the rest.
#pragma once

#include "isa/ceilings.h"
#include "isa/loss.h"
#include "isa/program.h"

namespace elman {

template <class T>
struct IsaFunctions {
    int width;  // elements of a vector
    // Sets how a phase is cut into blocks and groups of lanes.
    void (*shape)(Phase&);
    // What the panel of a link takes.
    size_t (*panel_bytes)(const Phase&, const Link&);
    // Whether threads can share every step of a program, each with units of its own (Run::meeting).
    bool (*shares_steps)(const Program&, int threads);
    // From here on: the share of thread `index` of `count`.
    // Lay the matrices of a link out in the order in which its tiles read them; views are by product.
    void (*pack)(const Phase&, const Link&, const MatrixView<T>* views, void* panel, int index, int count);
    // These two say whether there was memory to work in.
    bool (*run)(const Run<T>&, int index, int count);
    bool (*outer)(const Outer<T>&, int index, int count);
    void (*column_sum)(const ColumnSum<T>&, int index, int count);
    void (*token_sum)(const TokenSum<T>&, int index, int count);
    void (*cross_entropy)(const CrossEntropy<T>&, int index, int count);
};

struct IsaTable {
    const char* name;  // "generic", "neon", "avx2", "avx512", "avx512_bf16"
    IsaFunctions<float> f32;
    IsaFunctions<double> f64;
    IsaFunctions<float> bf16;  // memory in float32, the factors of products in bfloat16
    Ceilings ceilings;
};

}  // namespace elman

extern "C" {
const elman::IsaTable* elman_isa_generic();
const elman::IsaTable* elman_isa_neon();
const elman::IsaTable* elman_isa_avx2();
const elman::IsaTable* elman_isa_avx512();
const elman::IsaTable* elman_isa_avx512_bf16();
}
