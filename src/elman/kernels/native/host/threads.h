// Teams of threads. Where an OpenMP runtime is loaded in the process, regions run on its team (see openmp.h); elsewhere
// on a pool of our own (see pool.h).
#pragma once

namespace elman {

// More threads than this are never started: a runtime that cannot start as many ends the process.
constexpr int most_threads = 256;

// Runs body(context, index, count) for each index in [0, count), at once, and returns count when all have ended.
//   wanted   how many threads are asked for; the team may be smaller, so body must trust its count alone.
//   body     must not throw (the process ends) and must not rely on any floating-point environment.
// Serial (count 1, on the calling thread) inside another region, in a forked child, and while another thread holds the
// pool. An OpenMP runtime keeps its idle threads for one team size: ask for as many as its other users do.
int parallel(int wanted, void (*body)(void* context, int index, int count), void* context);

// How many of `threads` a call of so many operations is worth: all or one, as an OpenMP runtime keeps its idle threads for one
// size of team. The one place that decides it.
int team_for(double operations, int threads);

// The runtime that a region started now would use: "openmp:<path>", "own" or "serial". The text is never freed.
const char* team();

// ELMAN_NUM_THREADS, or the number of cores that this process may use. 0 if the variable is no positive whole number.
int default_threads();

// A meeting point for the threads of one team, as often as wanted. It spins, and yields the core after a while, so that
// a team larger than the machine still gets on.
struct Barrier {
    void wait(int count);  // count: the size of the team, as body received it

private:
    alignas(64) int arrived_ = 0;
    alignas(64) unsigned phase_ = 0;
};

}  // namespace elman
