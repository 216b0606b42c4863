#include "host/workspace.h"

#include <cstring>
#include <memory>

namespace elman {
namespace {

bool poisoned = false;

struct Workspace {
    std::unique_ptr<Aligned> memory;
    size_t size = 0;
};

thread_local Workspace own;

}  // namespace

void* workspace(size_t bytes) {
    if (own.size < bytes) {
        own.memory = std::make_unique<Aligned>(bytes);
        own.size = bytes;
    }
    if (poisoned) std::memset(own.memory->memory, 0xff, own.size);  // all bits set is a NaN
    return own.memory->memory;
}

void poison(bool on) { poisoned = on; }

}  // namespace elman
