#include "host/threads.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <thread>

#include "host/openmp.h"
#include "host/pool.h"
#include "host/spin.h"

namespace elman {
namespace {

// A forked child has none of its parent's workers, and an OpenMP runtime there waits for its own for ever.
bool in_forked_child = false;
[[maybe_unused]] const int watching_forks = pthread_atfork(nullptr, nullptr, [] { in_forked_child = true; });

thread_local bool in_region = false;

struct Region {
    void (*body)(void*, int, int);
    void* context;
    const OpenMP* runtime;
    int count;

    void run(int index, int team) noexcept {
        in_region = true;
        body(context, index, team);
        in_region = false;
    }
};

int openmp_parallel(Region& region, int wanted) {
    region.runtime->parallel(
        [](void* argument) {
            Region& shared = *static_cast<Region*>(argument);
            const int index = shared.runtime->thread_num(), count = shared.runtime->num_threads();
            if (index == 0) shared.count = count;
            shared.run(index, count);
        },
        &region, static_cast<unsigned>(wanted), 0);
    return region.count;
}

int own_parallel(Region& region, int wanted) {
    const auto run = [](void* shared, int index, int count) { static_cast<Region*>(shared)->run(index, count); };
    return pool_parallel(wanted, run, &region);
}

}  // namespace

int parallel(int wanted, void (*body)(void*, int, int), void* context) {
    Region region{body, context, nullptr, 0};
    wanted = std::min(wanted, most_threads);
    if (wanted > 1 && !in_region && !in_forked_child) {
        region.runtime = openmp();
        if (!region.runtime) {
            if (const int count = own_parallel(region, wanted)) return count;
        } else if (!region.runtime->in_parallel()) {
            return openmp_parallel(region, wanted);
        }
    }
    body(context, 0, 1);
    return 1;
}

int team_for(double operations, int threads) {
    constexpr double worth_a_thread = 1e5;  // below this, another thread costs more than it does
    return operations < 2 * worth_a_thread ? 1 : threads;
}

const char* team() {
    if (in_region || in_forked_child) return "serial";
    const OpenMP* runtime = openmp();
    if (!runtime) return "own";
    return runtime->in_parallel() ? "serial" : runtime->label.c_str();
}

int default_threads() {
    if (const char* text = std::getenv("ELMAN_NUM_THREADS"); text && *text) {
        char* end = nullptr;
        errno = 0;
        const long number = std::strtol(text, &end, 10);
        return *end == '\0' && errno == 0 && number > 0 && number <= 65536 ? static_cast<int>(number) : 0;
    }
#if defined(__linux__)
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) == 0) return CPU_COUNT(&cores);
#endif
    const int cores_present = static_cast<int>(std::thread::hardware_concurrency());
    return cores_present > 0 ? cores_present : 1;
}

// Sense-reversing, the phase number standing for the sense. Built-ins, not std::atomic: the header is for
// instruction-set files too, which must not instantiate the library's templates.
void Barrier::wait(int count) {
    const unsigned phase = __atomic_load_n(&phase_, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&arrived_, 1, __ATOMIC_ACQ_REL) == count) {
        __atomic_store_n(&arrived_, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&phase_, phase + 1, __ATOMIC_RELEASE);
        return;
    }
    const auto passed = [&] { return __atomic_load_n(&phase_, __ATOMIC_ACQUIRE) != phase; };
    if (spin_until(passed)) return;
    while (!passed()) sched_yield();
}

}  // namespace elman
