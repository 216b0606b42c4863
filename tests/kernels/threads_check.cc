// Checks threads.h in a process of its own: threads_check CASE [ARGUMENT]... Exits with 0, or prints what did not hold.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "host/threads.h"

namespace {

#define CHECK(holds)                                                          \
    do {                                                                      \
        if (!(holds)) {                                                       \
            std::printf("line %d: %s; team %s\n", __LINE__, #holds, elman::team()); \
            std::fflush(stdout);                                              \
            std::_Exit(1);                                                    \
        }                                                                     \
    } while (false)

// A region that records who came: plain variables, so that a sanitizer sees a missing order between region and caller.
struct Roll {
    std::vector<int> times, counts;

    explicit Roll(int most) : times(most), counts(most) {}

    int call(int wanted) {
        return elman::parallel(
            wanted,
            [](void* context, int index, int count) {
                Roll& roll = *static_cast<Roll*>(context);
                ++roll.times[index];
                roll.counts[index] = count;
            },
            this);
    }

    // Whether each index below count was there as often as said, and was told the count.
    bool is(int count, int times_each) const {
        for (size_t i = 0; i < times.size(); ++i) {
            const bool present = static_cast<int>(i) < count;
            if (times[i] != (present ? times_each : 0) || (present && counts[i] != count)) return false;
        }
        return true;
    }
};

void check_regions(int wanted) {
    Roll roll(wanted + 1);
    for (int i = 0; i < 2000; ++i) CHECK(roll.call(wanted) == wanted);
    CHECK(roll.is(wanted, 2000));
    for (int size : {1, 0, -3}) {
        Roll alone(2);
        CHECK(alone.call(size) == 1);
        CHECK(alone.is(1, 1));
    }
    for (int size : {2, 5, 3, 2}) {  // teams grow and shrink
        Roll next(6);
        CHECK(next.call(size) == size);
        CHECK(next.is(size, 1));
    }
}

void check_nested_is_serial() {
    std::atomic<int> inner{0}, outer{0};
    std::atomic<int>* both[] = {&inner, &outer};
    const int count = elman::parallel(
        3,
        [](void* context, int, int) {
            auto** counters = static_cast<std::atomic<int>**>(context);
            CHECK(std::strcmp(elman::team(), "serial") == 0);
            ++*counters[1];
            const int size = elman::parallel(
                4, [](void* counter, int, int) { ++*static_cast<std::atomic<int>*>(counter); }, counters[0]);
            CHECK(size == 1);
        },
        both);
    CHECK(outer == count && inner == count);
    CHECK(std::strcmp(elman::team(), "serial") != 0);
}

// Each thread of a team writes its own slot, meets the others, and reads all slots: none may be behind or ahead.
struct Meeting {
    int phases;
    std::vector<int> slots;
    elman::Barrier barrier;

    Meeting(int phases_, int size) : phases(phases_), slots(size) {}
};

void check_barrier(int wanted, int phases) {
    Meeting meeting(phases, wanted);
    const int count = elman::parallel(
        wanted,
        [](void* context, int index, int size) {
            Meeting& m = *static_cast<Meeting*>(context);
            for (int phase = 1; phase <= m.phases; ++phase) {
                m.slots[index] = phase;
                m.barrier.wait(size);
                for (int i = 0; i < size; ++i) CHECK(m.slots[i] == phase);
                m.barrier.wait(size);
            }
        },
        &meeting);
    CHECK(count == wanted);
}

void check_concurrent_callers() {
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 4; ++caller)
        callers.emplace_back([] {
            for (int i = 0; i < 500; ++i) {
                Roll roll(4);
                const int count = roll.call(3);
                CHECK(count == 1 || count == 3);
                CHECK(roll.is(count, 1));
            }
        });
    for (std::thread& caller : callers) caller.join();
}

void check_forked_child_is_serial() {
    Roll before(3);
    CHECK(before.call(2) == 2);
    const pid_t child = fork();
    if (child == 0) {
        alarm(300);
        Roll roll(4);
        CHECK(roll.call(4) == 1);
        CHECK(roll.is(1, 1));
        CHECK(std::strcmp(elman::team(), "serial") == 0);
        std::_Exit(0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    Roll after(3);
    CHECK(after.call(2) == 2);
}

void own() {
    CHECK(std::strcmp(elman::team(), "own") == 0);
    check_regions(4);
    check_nested_is_serial();
}

void barrier() {
    check_barrier(2, 2000);
    check_barrier(8, 200);  // more threads than many a machine has cores
}

void concurrent() { check_concurrent_callers(); }

void forked() { check_forked_child_is_serial(); }

// Loads a runtime as Python loads an extension's libraries: out of sight of the rest of the program.
void* load(const char* path) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) std::printf("%s\n", dlerror());
    CHECK(library != nullptr);
    return library;
}

// A region that the runtime's other user opened: what we are asked for inside it is serial.
void check_inside_anothers_region(void* library) {
    using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
    const Parallel gomp_parallel = reinterpret_cast<Parallel>(dlsym(library, "GOMP_parallel"));
    std::atomic<int> sum{0};
    gomp_parallel(
        [](void* context) {
            CHECK(std::strcmp(elman::team(), "serial") == 0);
            *static_cast<std::atomic<int>*>(context) += elman::parallel(4, [](void*, int, int) {}, nullptr);
        },
        &sum, 2, 0);
    CHECK(sum == 2);
}

void openmp(const char* path) {
    CHECK(std::strcmp(elman::team(), "own") == 0);
    Roll roll(3);
    CHECK(roll.call(2) == 2);
    void* library = load(path);
    const std::string team = elman::team();
    CHECK(team.rfind("openmp:", 0) == 0 && team.find("omp") != std::string::npos);
    check_regions(4);
    check_nested_is_serial();
    check_barrier(4, 200);
    check_inside_anothers_region(library);
    check_forked_child_is_serial();
    dlclose(library);  // we hold it too
    check_regions(3);
}

void torchs(const char* path, const char* torchs_path) {
    load(path);
    CHECK(std::string(elman::team()).find("/torch") == std::string::npos);
    load(torchs_path);
    CHECK(elman::team() == "openmp:" + std::string(torchs_path));
    check_regions(2);
}

}  // namespace

int main(int argc, char** argv) {
    alarm(600);  // a hang is a failure
    const std::string name = argc > 1 ? argv[1] : "";
    if (name == "own") return own(), 0;
    if (name == "barrier") return barrier(), 0;
    if (name == "concurrent") return concurrent(), 0;
    if (name == "forked") return forked(), 0;
    if (name == "openmp" && argc > 2) return openmp(argv[2]), 0;
    if (name == "torchs" && argc > 3) return torchs(argv[2], argv[3]), 0;
    if (name == "default") return std::printf("%d\n", elman::default_threads()), 0;
    std::printf("no such case: %s\n", name.c_str());
    return 2;
}
