// The loops of ceilings.h, each on a team of threads. Times are taken in Python.
#include "bind/common.h"

#include <atomic>

#include "host/dispatch.h"
#include "host/threads.h"

namespace nb = nanobind;
using namespace elman;

namespace {

// Of the widest instruction set, whichever one is in use: the machine's, not the program's.
const Ceilings& ceilings() { return available_isas().back()->ceilings; }

// The operations of all threads together.
int64_t compute(bool bfloat16, int64_t rounds, int threads) {
    struct Task {
        int64_t (*loop)(int64_t);
        int64_t rounds;
        std::atomic<int64_t> operations{0};
    } task{bfloat16 ? ceilings().dot_bfloat16 : ceilings().multiply_add, rounds};
    nb::gil_scoped_release release;
    parallel(
        threads,
        [](void* context, int, int) {
            Task& task = *static_cast<Task*>(context);
            task.operations += task.loop(task.rounds);
        },
        &task);
    return task.operations;
}

// Each thread reads `bytes` of its own, the first at `address`, the next behind them; returns all that was read.
int64_t read_memory(int64_t address, int64_t bytes, int64_t rounds, int threads) {
    struct Task {
        const char* memory;
        int64_t bytes, rounds;
    } task{reinterpret_cast<const char*>(static_cast<intptr_t>(address)), bytes, rounds};
    nb::gil_scoped_release release;
    const int team = parallel(
        threads,
        [](void* context, int index, int) {
            const Task& task = *static_cast<const Task*>(context);
            ceilings().read(task.memory + index * task.bytes, static_cast<ptrdiff_t>(task.bytes), task.rounds);
        },
        &task);
    return bytes * rounds * team;
}

}  // namespace

void bind_ceilings(nb::module_& m) {
    m.def("ceiling_compute", &compute);
    m.def("ceiling_read", &read_memory);
}
