// The loops of ceilings.h, each on a team of threads. Times are taken in Python.
#include <nanobind/ndarray.h>

#include "bind/common.h"
#include "bind/values.h"
#include "host/dispatch.h"

namespace nb = nanobind;
using namespace elman;

namespace {

using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Of the widest instruction set, whichever one is in use: the machine's, not the program's.
const Ceilings& ceilings() { return available_isas().back()->ceilings; }

void check(int64_t rounds, int threads) {
    check_threads(threads);
    require(rounds >= 0, "rounds must be 0 or more");
}

// The operations of all threads together.
int64_t compute(bool bfloat16, int64_t rounds, int threads) {
    check(rounds, threads);
    const auto loop = bfloat16 ? ceilings().dot_bfloat16 : ceilings().multiply_add;
    std::atomic<int64_t> operations{0};
    nb::gil_scoped_release release;
    share_out(threads, [&](int, int) {
        operations += loop(rounds);
        return true;
    });
    return operations;
}

// Each thread reads `bytes` of its own, the first from the beginning of the memory, the next behind them; returns all that was read.
int64_t read_memory(const Bytes& memory, int64_t bytes, int64_t rounds, int threads) {
    constexpr int64_t line = 64, grain = 1024;
    check(rounds, threads);
    require(reinterpret_cast<uintptr_t>(memory.data()) % line == 0, "ceiling_read: the memory must begin on a multiple of 64 bytes");
    require(bytes > 0 && bytes % grain == 0, "ceiling_read: bytes must be a multiple of 1024, and more than 0");
    require(bytes <= static_cast<int64_t>(memory.shape(0)) / threads, "ceiling_read: the memory is too small for so many threads");
    const char* begin = reinterpret_cast<const char*>(memory.data());
    std::atomic<int64_t> read{0};
    nb::gil_scoped_release release;
    share_out(threads, [&](int index, int) {
        ceilings().read(begin + index * bytes, static_cast<ptrdiff_t>(bytes), rounds);
        read += bytes * rounds;
        return true;
    });
    return read;
}

}  // namespace

void bind_ceilings(nb::module_& m) {
    m.def("ceiling_compute", &compute);
    m.def("ceiling_read", &read_memory, nb::arg().noconvert(), nb::arg(), nb::arg(), nb::arg());
}
