// What has no steps: sums over all of them, losses, and the interpreter's arithmetic by itself.
#include <nanobind/stl/vector.h>

#include "bind/common.h"
#include "host/dispatch.h"
#include "host/workspace.h"

namespace nb = nanobind;
using namespace elman;

namespace {

// For each position of a plan the row of a source: base + row * stride or, with `before`, what the state was before the step.
template <class T>
std::vector<const T*> source_rows(const Plan& plan, const Numbers& source, const T* start, int32_t depth) {
    const T* base = at<const T>(source[0]);
    const T* initial = at<const T>(source[2]);
    const ptrdiff_t stride = static_cast<ptrdiff_t>(source[1]);
    const bool before = source[3] != 0;
    std::vector<const T*> rows(plan.steps);
    for (int32_t s = 0; s < plan.segment_count; ++s) {
        const int32_t* segment = plan.segments + 4 * s;
        for (int32_t k = 0; k < segment[1]; ++k) {
            const int32_t place = segment[0] + k;
            if (!before)
                rows[place] = base + plan.rows[place] * stride;
            else if (k > 0)
                rows[place] = base + plan.rows[place - 1] * stride;
            else
                rows[place] = initial && segment[2] >= 0 ? initial + static_cast<ptrdiff_t>(segment[2]) * depth : start;
        }
    }
    return rows;
}

// source: (base, stride, initial, before); parts: (d, stride, size, out, row stride, column stride) each
template <class T>
void outer_as(const IsaFunctions<T>& isa, const PlanView& view, const Numbers& source, double start, int32_t depth,
              const Numbers& parts, int threads) {
    const std::vector<T> first(depth, static_cast<T>(start));
    const auto rows = source_rows<T>(view.plan, source, first.data(), depth);
    std::vector<OuterPart<T>> list;
    double units = 0;
    for (size_t i = 0; i + 5 < parts.size(); i += 6) {
        const int64_t* n = parts.data() + i;
        list.push_back({at<const T>(n[0]), static_cast<ptrdiff_t>(n[1]), static_cast<int32_t>(n[2]), at<T>(n[3]),
                        static_cast<ptrdiff_t>(n[4]), static_cast<ptrdiff_t>(n[5])});
        units += static_cast<double>(n[2]);
    }
    const Outer<T> task{list.data(), static_cast<int32_t>(list.size()), rows.data(), view.plan.rows, view.plan.steps, depth, workspace};
    share_out(team_for(2 * units * depth * static_cast<double>(view.plan.steps), threads),
              [&](int index, int count) { isa.outer(task, index, count); });
}

void outer(const PlanView& plan, const Numbers& source, double start, int32_t depth, const Numbers& parts, int precision, int threads) {
    nb::gil_scoped_release release;
    const Precision p = checked(precision);
    p == Precision::kFloat64 ? outer_as(functions_of<double>(isa(), p), plan, source, start, depth, parts, threads)
                             : outer_as(functions_of<float>(isa(), p), plan, source, start, depth, parts, threads);
}

template <class T>
void column_sum_as(const IsaFunctions<T>& isa, const Numbers& n, int threads) {
    const ColumnSum<T> task{at<const T>(n[0]), static_cast<ptrdiff_t>(n[1]), n[2], static_cast<int32_t>(n[3]), at<T>(n[4])};
    share_out(team_for(4.0 * static_cast<double>(task.rows) * task.size, threads),
              [&](int index, int count) { isa.column_sum(task, index, count); });
}

// numbers: d, stride, rows, size, out
void column_sum(const Numbers& numbers, bool is_double, int threads) {
    nb::gil_scoped_release release;
    is_double ? column_sum_as<double>(isa().f64, numbers, threads) : column_sum_as<float>(isa().f32, numbers, threads);
}

template <class T>
void token_sum_as(const IsaFunctions<T>& isa, const Numbers& n, int threads) {
    const TokenSum<T> task{at<const T>(n[0]), static_cast<ptrdiff_t>(n[1]), at<const int64_t>(n[2]), n[3],
                           static_cast<int32_t>(n[4]), at<T>(n[5]), static_cast<ptrdiff_t>(n[6])};
    share_out(team_for(8.0 * static_cast<double>(task.rows) * task.size, threads),
              [&](int index, int count) { isa.token_sum(task, index, count); });
}

// numbers: d, stride, tokens, rows, size, out, out stride
void token_sum(const Numbers& numbers, bool is_double, int threads) {
    nb::gil_scoped_release release;
    is_double ? token_sum_as<double>(isa().f64, numbers, threads) : token_sum_as<float>(isa().f32, numbers, threads);
}

template <class T>
void cross_entropy_as(const IsaFunctions<T>& isa, const Numbers& n, double smoothing, int threads) {
    const CrossEntropy<T> task{at<T>(n[0]),       static_cast<ptrdiff_t>(n[1]), n[2],           static_cast<int32_t>(n[3]),
                               at<const int64_t>(n[4]), n[5], static_cast<T>(smoothing), at<const T>(n[6]), at<T>(n[7])};
    share_out(team_for(16.0 * static_cast<double>(task.rows) * task.size, threads),
              [&](int index, int count) { isa.cross_entropy(task, index, count); });
}

// numbers: logits, stride, rows, size, targets, ignored, scales, losses
void cross_entropy(const Numbers& numbers, double smoothing, bool is_double, int threads) {
    nb::gil_scoped_release release;
    is_double ? cross_entropy_as<double>(isa().f64, numbers, smoothing, threads)
              : cross_entropy_as<float>(isa().f32, numbers, smoothing, threads);
}

void apply(int op, const Numbers& n, int64_t count, bool is_double) {
    const FlushToZero guard;
    if (is_double)
        isa().f64.apply(op, at<double>(n[0]), at<double>(n[1]), at<double>(n[2]), at<double>(n[3]), count);
    else
        isa().f32.apply(op, at<float>(n[0]), at<float>(n[1]), at<float>(n[2]), at<float>(n[3]), count);
}

}  // namespace

void bind_sums(nb::module_& m) {
    m.def("outer", &outer);
    m.def("column_sum", &column_sum);
    m.def("token_sum", &token_sum);
    m.def("cross_entropy", &cross_entropy);
    m.def("apply", &apply);
}
