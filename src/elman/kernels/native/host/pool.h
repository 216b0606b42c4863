// Our own worker threads, for processes in which no OpenMP runtime is loaded.
//
// A worker spins for a moment after each region, then sleeps. Workers are started at first need, and neither joined nor
// stopped: the process ends around them, so nothing can hang or crash when the interpreter shuts down.
#pragma once

namespace elman {

// As elman::parallel, for wanted > 1. Returns 0, having run nothing, when another thread has a region in the pool.
int pool_parallel(int wanted, void (*body)(void* context, int index, int count), void* context);

}  // namespace elman
