// Prints as JSON what dispatch.h offers. The tables are names only.
#include "host/dispatch.h"

#include <cstdio>

namespace {

elman::IsaTable named(const char* name) {
    elman::IsaTable table{};
    table.name = name;
    return table;
}

}  // namespace

#define TABLE(isa)                                                   \
    extern "C" const elman::IsaTable* elman_isa_##isa() {            \
        static const elman::IsaTable table = named(#isa);            \
        return &table;                                               \
    }
TABLE(generic)
TABLE(neon)
TABLE(avx2)
TABLE(avx512)
TABLE(avx512_bf16)

int main() {
    std::printf("{\"available\": [");
    const char* separator = "";
    for (const elman::IsaTable* table : elman::available_isas()) {
        std::printf("%s\"%s\"", separator, table->name);
        separator = ", ";
    }
    std::printf("], \"error\": \"%s\", \"default\": \"%s\"}\n", elman::isa_error().c_str(), elman::default_isa().name);
}
