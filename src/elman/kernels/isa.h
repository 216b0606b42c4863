// What one instruction set offers: the only thing that crosses from an instruction-set file to the rest.
#pragma once

namespace elman {

struct IsaTable {
    const char* name;  // "generic", "neon", "avx2", "avx512"
};

}  // namespace elman

extern "C" {
const elman::IsaTable* elman_isa_generic();
const elman::IsaTable* elman_isa_neon();
const elman::IsaTable* elman_isa_avx2();
const elman::IsaTable* elman_isa_avx512();
}
