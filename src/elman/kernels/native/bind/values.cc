#include "bind/values.h"

#include <algorithm>

namespace nb = nanobind;
using namespace nanobind::literals;

namespace elman {

Weight::Weight(int64_t address, int64_t row_stride, int64_t column_stride)
    : address(address), row_stride(row_stride), column_stride(column_stride) {
    require(address >= 0 && row_stride >= 0 && column_stride >= 0, "Weight: an address and strides that are not negative expected");
}

Rows::Rows(int64_t address, int64_t stride, int64_t tokens) : address(address), stride(stride), tokens(tokens) {
    require(address >= 0 && stride >= 0 && tokens >= 0, "Rows: addresses and a stride that are not negative expected");
}

StateMemory::StateMemory(int64_t sequence, int64_t stride, int64_t initial, int64_t final)
    : sequence(sequence), stride(stride), initial(initial), final(final) {
    require(sequence >= 0 && stride >= 0 && initial >= 0 && final >= 0, "StateMemory: addresses and a stride that are not negative expected");
}

Targets::Targets(int64_t address, int64_t ignored, double smoothing, int64_t scales)
    : address(address), ignored(ignored), smoothing(smoothing), scales(scales) {
    require(address >= 0 && scales >= 0, "Targets: addresses that are not negative expected");
    require(smoothing >= 0 && smoothing <= 1, "Targets: smoothing must be 0 to 1");
}

PlanView::PlanView(Indices rows, Segments segments, Indices lanes)
    : rows_(std::move(rows)),
      lanes_(std::move(lanes)),
      segments_(std::move(segments)),
      plan_{rows_.data(), segments_.data(), lanes_.data(), 0, 0, 0} {
    constexpr size_t most = std::numeric_limits<int32_t>::max() / 4;
    require(rows_.shape(0) <= most && segments_.shape(0) <= most && lanes_.shape(0) <= most, "Plan: more rows than can be counted");
    require(lanes_.shape(0) > 0, "Plan: lanes [L + 1] must begin with 0");
    plan_.lane_count = static_cast<int32_t>(lanes_.shape(0)) - 1;
    plan_.segment_count = static_cast<int32_t>(segments_.shape(0));
    plan_.steps = static_cast<int64_t>(rows_.shape(0));
    check();
    for (int32_t s = 0; s < plan_.segment_count; ++s) longest_ = std::max(longest_, plan_.segments[4 * s + 1]);
}

void PlanView::check() const {
    for (int64_t n = 0; n < plan_.steps; ++n)
        require(plan_.rows[n] >= 0 && plan_.rows[n] < plan_.steps, "Plan: rows must be 0 to N - 1");
    for (int32_t s = 0; s < plan_.segment_count; ++s) {
        const int32_t* segment = plan_.segments + 4 * s;
        require(segment[0] >= 0 && segment[1] >= 0 && int64_t{segment[0]} + segment[1] <= plan_.steps, "Plan: a segment leaves the rows");
        require(segment[2] >= -1 && segment[3] >= -1, "Plan: a state must be -1 or a row");
    }
    require(plan_.lanes[0] == 0 && plan_.lanes[plan_.lane_count] == plan_.segment_count, "Plan: lanes must rise from 0 to the number of segments");
    int64_t before = std::numeric_limits<int64_t>::max(), total = 0;
    for (int32_t lane = 0; lane < plan_.lane_count; ++lane) {
        require(plan_.lanes[lane] <= plan_.lanes[lane + 1] && plan_.lanes[lane + 1] <= plan_.segment_count, "Plan: lanes must rise");
        int64_t load = 0;
        for (int32_t s = plan_.lanes[lane]; s < plan_.lanes[lane + 1]; ++s) load += plan_.segments[4 * s + 1];
        require(load <= before, "Plan: lanes must be sorted by falling load");
        before = load, total += load;
    }
    require(total == plan_.steps, "Plan: segments must visit each row once");
}

}  // namespace elman

using namespace elman;

void bind_values(nb::module_& m) {
    nb::class_<Weight>(m, "Weight", "Where a parameter lies: (row, column) is row * row_stride + column * column_stride elements behind `address`.")
        .def(nb::init<int64_t, int64_t, int64_t>(), "address"_a, "row_stride"_a = 1, "column_stride"_a = 1)
        .def_ro("address", &Weight::address)
        .def_ro("row_stride", &Weight::row_stride)
        .def_ro("column_stride", &Weight::column_stride);
    nb::class_<Rows>(m, "Rows", "A row for each step: `stride` elements apart. With `tokens` (int64 [N]) the row of step n is tokens[n].")
        .def(nb::init<int64_t, int64_t, int64_t>(), "address"_a, "stride"_a, "tokens"_a = 0)
        .def_ro("address", &Rows::address)
        .def_ro("stride", &Rows::stride)
        .def_ro("tokens", &Rows::tokens);
    nb::class_<StateMemory>(m, "StateMemory",
                            "Memory of one state: every step's value (0: only the last is kept), the rows to begin with, rows for the last.")
        .def(nb::init<int64_t, int64_t, int64_t, int64_t>(), "sequence"_a = 0, "stride"_a = 0, "initial"_a = 0, "final"_a = 0)
        .def_ro("sequence", &StateMemory::sequence)
        .def_ro("stride", &StateMemory::stride)
        .def_ro("initial", &StateMemory::initial)
        .def_ro("final", &StateMemory::final);
    nb::class_<Targets>(m, "Targets",
                        "The class of each row (int64 [N], or `ignored`), the share that smoothing spreads, a factor of each gradient (0: none).")
        .def(nb::init<int64_t, int64_t, double, int64_t>(), "address"_a, "ignored"_a, "smoothing"_a = 0.0, "scales"_a = 0);
    nb::class_<PlanView>(m, "Plan", "A lane plan (elman.sequences.lanes): rows [N], segments [S, 4], lanes [L + 1], all int32.")
        .def(nb::init<PlanView::Indices, PlanView::Segments, PlanView::Indices>(), nb::arg("rows").noconvert(),
             nb::arg("segments").noconvert(), nb::arg("lanes").noconvert());
}
