// Prints as JSON what dispatch.h offers, and what comes of selecting each argument in turn. The tables are names only.
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

int main(int argc, char** argv) {
    std::printf("{\"available\": [");
    const char* separator = "";
    for (const elman::IsaTable* table : elman::available_isas()) {
        std::printf("%s\"%s\"", separator, table->name);
        separator = ", ";
    }
    const std::string error = elman::isa_error();
    std::printf("], \"error\": \"%s\", \"first\": \"%s\", \"selected\": [", error.c_str(), elman::isa().name);
    for (int i = 1; i < argc; ++i) {
        const std::string refused = elman::select_isa(argv[i]);
        std::printf("%s[\"%s\", \"%s\"]", i > 1 ? ", " : "", elman::isa().name, refused.c_str());
    }
    std::printf("]}\n");
}
