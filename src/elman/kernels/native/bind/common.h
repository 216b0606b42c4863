// What the files of the extension share.
#pragma once

#include <nanobind/nanobind.h>

#include <atomic>
#include <new>

#include "host/fpenv.h"
#include "host/threads.h"

namespace elman {

// A share of the work for each thread of a team, subnormals flushed. `work` says whether there was memory to do it in; throws
// std::bad_alloc, once all have ended, where for one there was not: nothing may be thrown inside a team.
template <class Work>
void share_out(int threads, const Work& work) {
    struct Shared {
        const Work& work;
        std::atomic<bool> done{true};
    } shared{work};
    parallel(
        threads,
        [](void* context, int index, int count) {
            const FlushToZero guard;
            Shared& shared = *static_cast<Shared*>(context);
            if (!shared.work(index, count)) shared.done.store(false, std::memory_order_relaxed);
        },
        &shared);
    if (!shared.done.load(std::memory_order_relaxed)) throw std::bad_alloc();
}

}  // namespace elman

// Each adds its part to the module.
void bind_ceilings(nanobind::module_& m);
void bind_isas(nanobind::module_& m);
void bind_kernel(nanobind::module_& m);
void bind_values(nanobind::module_& m);
