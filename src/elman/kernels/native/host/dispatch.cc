#include "host/dispatch.h"

#include <cstdlib>

namespace elman {
namespace {

using Tables = std::vector<const IsaTable*>;

// The features asked for are those that CMakeLists.txt lets the compiler use; the built-in also asks whether the
// operating system saves the registers.
Tables find_isas() {
#if defined(__x86_64__)
    Tables tables{elman_isa_generic()};
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return tables;
    tables.push_back(elman_isa_avx2());
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        tables.push_back(elman_isa_avx512());
    if (tables.back() == elman_isa_avx512() && __builtin_cpu_supports("avx512bf16")) tables.push_back(elman_isa_avx512_bf16());
    return tables;
#elif defined(__aarch64__)
    return {elman_isa_neon()};
#else
    return {elman_isa_generic()};
#endif
}

const IsaTable* find(const std::string& name) {
    if (name.empty()) return available_isas().back();
    for (const IsaTable* table : available_isas())
        if (name == table->name) return table;
    return nullptr;
}

std::string wanted() {
    const char* name = std::getenv("ELMAN_ISA");
    return name ? name : "";
}

}  // namespace

const Tables& available_isas() {
    static const Tables& tables = *new Tables(find_isas());
    return tables;
}

const IsaTable& default_isa() {
    static const IsaTable* const table = find(wanted());
    return table ? *table : *available_isas().back();
}

std::string isa_error() {
    const std::string name = wanted();
    if (find(name)) return "";
    std::string text = "ELMAN_ISA: the instruction set '" + name + "' is not available here; available:";
    for (const IsaTable* table : available_isas()) text += std::string(" ") + table->name;
    return text;
}

}  // namespace elman
