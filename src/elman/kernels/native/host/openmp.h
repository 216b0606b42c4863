// An OpenMP runtime that something else (torch, say) has loaded into this process: found at run time, never linked. Its
// idle workers spin for a while after every region, and a second pool beside them would fight them for the cores.
#pragma once

#include <string>

namespace elman {

struct OpenMP {
    std::string label;  // "openmp:<path>"
    bool torchs;        // torch's own: no other will be preferred to it
    void (*parallel)(void (*body)(void*), void* context, unsigned threads, unsigned flags);  // GOMP_parallel
    int (*thread_num)();
    int (*num_threads)();
    int (*in_parallel)();
};

// The runtime to use, or null; torch's own if there are several. Cheap: the list of loaded libraries is read again only
// after it has grown. What is returned lives for ever.
const OpenMP* openmp();

}  // namespace elman
