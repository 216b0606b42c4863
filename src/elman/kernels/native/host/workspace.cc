#include "host/workspace.h"

#include <atomic>
#include <cstring>
#include <memory>

namespace elman {
namespace {

std::atomic<bool> poisoned{false};

struct Workspace {
    std::unique_ptr<Aligned> memory;
    size_t size = 0;
};

thread_local Workspace own;

}  // namespace

void* workspace(size_t bytes) noexcept {
    if (!own.memory || own.size < bytes) {
        own.memory.reset();  // before the new memory is taken: both may be too much
        own.size = 0;
        try {
            own.memory = std::make_unique<Aligned>(bytes);
        } catch (const std::bad_alloc&) {
            return nullptr;
        }
        own.size = bytes;
    }
    if (poisoned.load(std::memory_order_relaxed)) std::memset(own.memory->memory, 0xff, own.size);  // all bits set is a NaN
    return own.memory->memory;
}

void poison(bool on) { poisoned.store(on, std::memory_order_relaxed); }

}  // namespace elman
