// What the files of the extension share: how memory, precision and plans cross, and how work is shared out.
#pragma once

#include <nanobind/nanobind.h>

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "host/bound.h"
#include "host/fpenv.h"
#include "host/threads.h"

namespace elman {

using Numbers = std::vector<int64_t>;

// Below this many operations another thread costs more than it does.
inline constexpr double kWorthAThread = 1e5;

// Memory crosses as an address.
template <class P>
P* at(int64_t address) {
    return reinterpret_cast<P*>(static_cast<intptr_t>(address));
}

inline Precision checked(int precision) {
    if (precision < 0 || precision > static_cast<int>(Precision::kBfloat16)) throw std::invalid_argument("there is no such precision");
    return static_cast<Precision>(precision);
}

// All threads or one: an OpenMP runtime keeps its idle threads for one size of team.
inline int team_for(double operations, int threads) { return operations < 2 * kWorthAThread ? 1 : threads; }

// A share of the work for each thread of a team, subnormals flushed.
template <class Work>
void share_out(int threads, const Work& work) {
    parallel(
        threads,
        [](void* context, int index, int count) {
            const FlushToZero guard;
            (*static_cast<const Work*>(context))(index, count);
        },
        const_cast<Work*>(&work));
}

// A lane plan in memory that Python keeps.
struct PlanView {
    PlanView(int64_t rows, int64_t segments, int64_t lanes, int32_t lane_count, int32_t segment_count, int64_t steps)
        : plan{at<int32_t>(rows), at<int32_t>(segments), at<int32_t>(lanes), lane_count, segment_count, steps} {}
    Plan plan;
};

}  // namespace elman

// Each adds its functions to the module.
void bind_ceilings(nanobind::module_& m);
void bind_sums(nanobind::module_& m);
