#include "host/openmp.h"

#include <dlfcn.h>

#if defined(__APPLE__)
#include <mach-o/dyld.h>
#else
#include <link.h>
#endif

#include <atomic>
#include <cstring>
#include <mutex>
#include <vector>

namespace elman {
namespace {

// How many libraries were ever loaded; it moves whenever one more is.
unsigned long long libraries_loaded() {
#if defined(__APPLE__)
    return _dyld_image_count();
#else
    unsigned long long adds = 0;
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* result) {
            *static_cast<unsigned long long*>(result) = info->dlpi_adds;
            return 1;  // the first entry tells
        },
        &adds);
    return adds;
#endif
}

// By its name, is it an OpenMP runtime? libgomp.so.1, libgomp-24e2ab19.so.1.0.0, libiomp5.so, libomp.dylib
bool is_runtime(const char* path) {
    const char* slash = std::strrchr(path, '/');
    const char* name = slash ? slash + 1 : path;
    for (const char* prefix : {"libgomp", "libiomp5", "libomp"})
        if (const size_t length = std::strlen(prefix); std::strncmp(name, prefix, length) == 0)
            return name[length] == '.' || name[length] == '-' || name[length] == '_';
    return false;
}

std::vector<std::string> runtime_paths() {
    std::vector<std::string> paths;
#if defined(__APPLE__)
    for (uint32_t i = 0; i < _dyld_image_count(); ++i)
        if (const char* path = _dyld_get_image_name(i); path && is_runtime(path)) paths.push_back(path);
#else
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* result) {
            if (info->dlpi_name && is_runtime(info->dlpi_name))
                static_cast<std::vector<std::string>*>(result)->push_back(info->dlpi_name);
            return 0;
        },
        &paths);
#endif
    return paths;
}

bool is_torchs(const std::string& path) { return path.find("/torch") != std::string::npos; }

template <class F>
bool find(void* library, const char* name, F& function) {
    function = reinterpret_cast<F>(dlsym(library, name));
    return function != nullptr;
}

// The library stays open: what we hold pointers into must not be unloaded.
const OpenMP* open_runtime(const std::string& path) {
    void* library = dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (!library) return nullptr;
    OpenMP found{"openmp:" + path, is_torchs(path), nullptr, nullptr, nullptr, nullptr};
    if (find(library, "GOMP_parallel", found.parallel) && find(library, "omp_get_thread_num", found.thread_num) &&
        find(library, "omp_get_num_threads", found.num_threads) && find(library, "omp_in_parallel", found.in_parallel))
        return new OpenMP(found);
    dlclose(library);
    return nullptr;
}

// A runtime once found is only ever left for torch's.
const OpenMP* search(const OpenMP* best) {
    for (const std::string& path : runtime_paths()) {
        if (best && !is_torchs(path)) continue;
        if (const OpenMP* found = open_runtime(path)) best = found;
    }
    return best;
}

std::atomic<const OpenMP*> runtime{nullptr};
std::atomic<unsigned long long> searched_at{0};  // libraries_loaded() at the last search

}  // namespace

const OpenMP* openmp() {
    const OpenMP* current = runtime.load(std::memory_order_acquire);
    if (current && current->torchs) return current;
    const unsigned long long loaded = libraries_loaded();
    if (searched_at.load(std::memory_order_acquire) == loaded) return runtime.load(std::memory_order_acquire);

    static std::mutex& searching = *new std::mutex;  // never destroyed: threads may outlive the static objects
    const std::lock_guard lock(searching);
    if (searched_at.load(std::memory_order_relaxed) != loaded) {
        runtime.store(search(runtime.load(std::memory_order_relaxed)), std::memory_order_release);
        searched_at.store(loaded, std::memory_order_release);
    }
    return runtime.load(std::memory_order_acquire);
}

}  // namespace elman
