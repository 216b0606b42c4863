#include "host/pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "host/spin.h"
#include "host/threads.h"

namespace elman {
namespace {

constexpr int most_workers = most_threads - 1;

struct Region {
    void (*body)(void*, int, int);
    void* context;
    int count;
};

// Blocks signals while it lives, so that threads started meanwhile leave them to the program's own threads. Not those
// that a fault raises in the thread itself: a crash handler must still see them.
class SignalsBlocked {
public:
    SignalsBlocked() {
        sigset_t all;
        sigfillset(&all);
        for (int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT}) sigdelset(&all, fault);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

private:
    sigset_t before_;
};

class Pool {
public:
    int parallel(int wanted, Region region) {
        const std::unique_lock lock(busy_, std::try_to_lock);
        if (!lock) return 0;
        region.count = std::min(hire(wanted - 1), wanted - 1) + 1;
        region_ = region;
        working_.store(region.count - 1, std::memory_order_relaxed);
        for (int i = 0; i < region.count - 1; ++i) {
            calls_[i].number.fetch_add(1, std::memory_order_release);
            calls_[i].number.notify_one();
        }
        region.body(region.context, 0, region.count);
        wait_for_workers();
        return region.count;
    }

private:
    // A worker's bell: a new number is a call to the region. One for each, so that a worker left out of a region stays
    // asleep and never sees that region's fields change.
    struct alignas(64) Call {
        std::atomic<unsigned> number{0};
    };

    // Has at least `workers` of them, if the system allows it; returns how many there are.
    int hire(int workers) {
        workers = std::min(workers, most_workers);
        if (hired_ >= workers) return hired_;
        const SignalsBlocked blocked;
        try {
            for (; hired_ < workers; ++hired_) std::thread(&Pool::work, this, hired_).detach();
        } catch (const std::system_error&) {
            // A smaller team does the same work.
        } catch (const std::bad_alloc&) {
            // As above.
        }
        return hired_;
    }

    void work(int worker) noexcept {
        std::atomic<unsigned>& number = calls_[worker].number;
        for (unsigned seen = 0;; ++seen) {
            if (!spin_until([&] { return number.load(std::memory_order_acquire) != seen; }))
                number.wait(seen, std::memory_order_acquire);
            region_.body(region_.context, worker + 1, region_.count);
            if (working_.fetch_sub(1, std::memory_order_acq_rel) == 1) working_.notify_one();
        }
    }

    void wait_for_workers() {
        if (spin_until([&] { return working_.load(std::memory_order_acquire) == 0; })) return;
        for (int left; (left = working_.load(std::memory_order_acquire)) != 0;)
            working_.wait(left, std::memory_order_acquire);
    }

    std::mutex busy_;
    int hired_ = 0;
    Region region_{};
    alignas(64) std::atomic<int> working_{0};
    Call calls_[most_workers];
};

}  // namespace

int pool_parallel(int wanted, void (*body)(void*, int, int), void* context) {
    static Pool& pool = *new Pool;  // never destroyed: its workers outlive the static objects
    return pool.parallel(wanted, {body, context, 0});
}

}  // namespace elman
