// Instruction sets as Python sees them, with what has no steps: sums over all of them, and losses.
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include "bind/common.h"
#include "bind/values.h"
#include "host/dispatch.h"
#include "host/workspace.h"

namespace nb = nanobind;
using namespace elman;

namespace {

using Source = std::variant<const Rows*, const StateMemory*>;
using Part = std::tuple<const Rows*, int64_t, const Weight*>;  // d, its size, where the sum is added

// How many rows, and their size.
using Shape = std::tuple<int64_t, int64_t>;

// For each position of a plan the row of a source: of the step or, of a state, what it was before the step.
template <class T>
std::vector<const T*> source_rows(const Plan& plan, const Source& source, const T* start, int32_t depth) {
    std::vector<const T*> found(plan.steps);
    if (const auto* const* rows = std::get_if<const Rows*>(&source)) {
        require(*rows && ((*rows)->address || plan.steps == 0), "outer: the source has no memory");
        const Binding<T> place = (*rows)->template binding<T>();
        for (int64_t n = 0; n < plan.steps; ++n) found[n] = place.base + plan.rows[n] * place.stride;
        return found;
    }
    const StateMemory* memory = std::get<const StateMemory*>(source);
    require(memory, "outer: the source has no memory");
    const T* sequence = at<const T>(memory->sequence);
    const T* initial = at<const T>(memory->initial);
    for (int32_t s = 0; s < plan.segment_count; ++s) {
        const int32_t* segment = plan.segments + 4 * s;
        require(sequence || segment[1] <= 1, "outer: the source has no memory");
        for (int32_t k = 0; k < segment[1]; ++k) {
            const int32_t place = segment[0] + k;
            if (k > 0)
                found[place] = sequence + plan.rows[place - 1] * static_cast<ptrdiff_t>(memory->stride);
            else
                found[place] = initial && segment[2] >= 0 ? initial + static_cast<ptrdiff_t>(segment[2]) * depth : start;
        }
    }
    return found;
}

template <class T>
void outer_as(const IsaFunctions<T>& isa, const PlanView& view, const Source& source, double start, int32_t depth,
              const std::vector<Part>& parts, int threads) {
    const Plan& plan = view.plan();
    const std::vector<T> first(depth, static_cast<T>(start));
    const auto rows = source_rows<T>(plan, source, first.data(), depth);
    for (const T* row : rows) require(row, "outer: the plan's segments leave a row without a source");
    std::vector<OuterPart<T>> list;
    double units = 0;
    for (const auto& [d, size, out] : parts) {
        require(d && out && ((d->address && out->address) || plan.steps == 0), "outer: a part has no memory");
        const MatrixView<T> to = out->template view<T>();
        list.push_back({at<const T>(d->address), static_cast<ptrdiff_t>(d->stride), size_of(size), const_cast<T*>(to.base), to.row_stride,
                        to.column_stride});
        units += static_cast<double>(size);
    }
    const Outer<T> task{list.data(), static_cast<int32_t>(list.size()), rows.data(), plan.rows, plan.steps, depth, workspace};
    nb::gil_scoped_release release;
    share_out(team_for(2 * units * depth * static_cast<double>(plan.steps), threads),
              [&](int index, int count) { return isa.outer(task, index, count); });
}

void outer(const IsaTable& isa, const PlanView& plan, const Source& source, double start, int64_t depth, const std::vector<Part>& parts,
           int precision, int threads) {
    check_threads(threads);
    const Precision p = precision_of(precision);
    if (p == Precision::kFloat64)
        outer_as(functions_of<double>(isa, p), plan, source, start, size_of(depth), parts, threads);
    else
        outer_as(functions_of<float>(isa, p), plan, source, start, size_of(depth), parts, threads);
}

// Shares out work on so many rows, each element of which takes `operations`.
template <class Function, class Task>
void share_rows(Function function, const Task& task, double operations, int threads) {
    nb::gil_scoped_release release;
    share_out(team_for(operations * static_cast<double>(task.rows) * task.size, threads), [&](int index, int count) {
        function(task, index, count);
        return true;
    });
}

void check_rows(const Rows& rows, const Shape& shape, int threads) {
    check_threads(threads);
    require(std::get<0>(shape) >= 0, "the number of rows must be 0 or more");
    require(rows.address || std::get<0>(shape) == 0, "the rows have no memory");
}

template <class T>
void column_sum_as(const IsaFunctions<T>& isa, const Rows& d, const Shape& shape, const Weight& out, int threads) {
    const auto [count, size] = shape;
    const ColumnSum<T> task{at<const T>(d.address), static_cast<ptrdiff_t>(d.stride), count, size_of(size), at<T>(out.address)};
    share_rows(isa.column_sum, task, 4, threads);
}

void column_sum(const IsaTable& isa, const Rows& d, const Shape& shape, const Weight& out, bool is_double, int threads) {
    check_rows(d, shape, threads);
    require(out.address, "column_sum: the sum has no memory");
    is_double ? column_sum_as<double>(isa.f64, d, shape, out, threads) : column_sum_as<float>(isa.f32, d, shape, out, threads);
}

template <class T>
void token_sum_as(const IsaFunctions<T>& isa, const Rows& d, const Shape& shape, const Rows& out, int threads) {
    const auto [count, size] = shape;
    const TokenSum<T> task{at<const T>(d.address), static_cast<ptrdiff_t>(d.stride), at<const int64_t>(out.tokens), count, size_of(size),
                           at<T>(out.address), static_cast<ptrdiff_t>(out.stride)};
    for (int64_t n = 0; n < count; ++n) require(task.tokens[n] >= 0, "token_sum: tokens must be 0 or more");
    share_rows(isa.token_sum, task, 8, threads);
}

void token_sum(const IsaTable& isa, const Rows& d, const Shape& shape, const Rows& out, bool is_double, int threads) {
    check_rows(d, shape, threads);
    check_rows(out, shape, threads);
    require(out.tokens || std::get<0>(shape) == 0, "token_sum: rows by token expected, got rows by step");
    is_double ? token_sum_as<double>(isa.f64, d, shape, out, threads) : token_sum_as<float>(isa.f32, d, shape, out, threads);
}

template <class T>
void cross_entropy_as(const IsaFunctions<T>& isa, const Rows& logits, const Shape& shape, const Targets& targets, int64_t losses, int threads) {
    const auto [count, size] = shape;
    const CrossEntropy<T> task{at<T>(logits.address),      static_cast<ptrdiff_t>(logits.stride), count, size_of(size),
                               at<const int64_t>(targets.address), targets.ignored, static_cast<T>(targets.smoothing),
                               at<const T>(targets.scales), at<T>(losses)};
    for (int64_t n = 0; n < count; ++n)
        require(task.targets[n] == task.ignored || (task.targets[n] >= 0 && task.targets[n] < size), "cross_entropy: a target is no class");
    share_rows(isa.cross_entropy, task, 16, threads);
}

void cross_entropy(const IsaTable& isa, const Rows& logits, const Shape& shape, const Targets& targets, int64_t losses, bool is_double,
                   int threads) {
    check_rows(logits, shape, threads);
    require((targets.address && losses > 0) || std::get<0>(shape) == 0, "cross_entropy: targets or losses have no memory");
    is_double ? cross_entropy_as<double>(isa.f64, logits, shape, targets, losses, threads)
              : cross_entropy_as<float>(isa.f32, logits, shape, targets, losses, threads);
}

nb::list all_isas() {
    nb::list found;
    for (const IsaTable* table : available_isas()) found.append(nb::cast(table, nb::rv_policy::reference));
    return found;
}

}  // namespace

void bind_isas(nb::module_& m) {
    nb::class_<IsaTable>(m, "Isa", "An instruction set. What is bound to one computes with it, whichever thread asks.")
        .def_prop_ro("name", [](const IsaTable& isa) { return std::string(isa.name); })
        .def("outer", &outer)
        .def("column_sum", &column_sum)
        .def("token_sum", &token_sum)
        .def("cross_entropy", &cross_entropy);
    m.def("available_isas", &all_isas);
    m.def("default_isa", &default_isa, nb::rv_policy::reference);
}
