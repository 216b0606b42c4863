// The extension elman.kernels._kernels. Memory crosses as addresses: sizes, types and lifetimes are checked in Python, by
// elman.kernels, before anything comes here.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bindings_ceilings.h"
#include "dispatch.h"
#include "fpenv.h"
#include "panels.h"
#include "threads.h"

namespace nb = nanobind;
using namespace elman;
using Numbers = std::vector<int64_t>;

namespace {

// Below this many operations another thread costs more than it does.
constexpr double kWorthAThread = 1e5;

template <class P>
P* at(int64_t address) {
    return reinterpret_cast<P*>(static_cast<intptr_t>(address));
}

Precision checked(int precision) {
    if (precision < 0 || precision > static_cast<int>(Precision::kBfloat16)) throw std::invalid_argument("there is no such precision");
    return static_cast<Precision>(precision);
}

// All threads or one: an OpenMP runtime keeps its idle threads for one size of team.
int team_for(double operations, int threads) { return operations < 2 * kWorthAThread ? 1 : threads; }

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

struct PlanView {
    PlanView(int64_t rows, int64_t segments, int64_t lanes, int32_t lane_count, int32_t segment_count, int64_t steps)
        : plan{at<int32_t>(rows), at<int32_t>(segments), at<int32_t>(lanes), lane_count, segment_count, steps} {}
    Plan plan;
};

template <class T>
class Starts {  // a constant row for each value
public:
    Starts(const std::vector<int32_t>& sizes, const std::vector<double>& values) {
        for (size_t i = 0; i < sizes.size(); ++i) rows_.emplace_back(sizes[i], static_cast<T>(values[i]));
    }
    const T* operator[](size_t i) const { return rows_[i].data(); }

private:
    std::vector<std::vector<T>> rows_;
};

class Kernel {
public:
    Kernel(const Numbers& code, const std::vector<double>& values, int precision)
        : bound_(code, values, checked(precision)),
          f32_{{bound_.recurrent_sizes, bound_.recurrent_starts}, {bound_.before_sizes, bound_.before_starts}},
          f64_{{bound_.recurrent_sizes, bound_.recurrent_starts}, {bound_.before_sizes, bound_.before_starts}} {}

    // views: (address, row stride, column stride) for each product of each link
    Panels* pack(const Numbers& views, int threads) const {
        nb::gil_scoped_release release;
        return is_double() ? new Panels(bound_, read_views<double>(views), threads) : new Panels(bound_, read_views<float>(views), threads);
    }

    uint64_t fingerprint(const Numbers& views) const {
        nb::gil_scoped_release release;
        return is_double() ? elman::fingerprint(bound_, read_views<double>(views)) : elman::fingerprint(bound_, read_views<float>(views));
    }

    void run(const Panels& panels, const Numbers& bindings, const Numbers& recurrents, const Numbers& befores,
             const PlanView* plan, int64_t steps, bool backward, int threads) const {
        nb::gil_scoped_release release;
        if (is_double())
            run_as<double>(f64_, panels, bindings, recurrents, befores, plan, steps, backward, threads);
        else
            run_as<float>(f32_, panels, bindings, recurrents, befores, plan, steps, backward, threads);
    }

private:
    template <class T>
    struct AllStarts {
        Starts<T> recurrents, befores;
    };

    bool is_double() const { return bound_.precision == Precision::kFloat64; }

    template <class T>
    static std::vector<MatrixView<T>> read_views(const Numbers& numbers) {
        std::vector<MatrixView<T>> views;
        for (size_t i = 0; i + 2 < numbers.size(); i += 3)
            views.push_back({at<const T>(numbers[i]), static_cast<ptrdiff_t>(numbers[i + 1]), static_cast<ptrdiff_t>(numbers[i + 2])});
        return views;
    }

    // numbers: (sequence, stride, initial, final) for each value
    template <class T>
    static std::vector<Recurrent<T>> read(const Numbers& numbers, const std::vector<int32_t>& sizes, const Starts<T>& starts) {
        if (numbers.size() != 4 * sizes.size()) throw std::invalid_argument("run: four numbers are needed for each state");
        std::vector<Recurrent<T>> values;
        for (size_t i = 0; i < sizes.size(); ++i) {
            const int64_t* n = numbers.data() + 4 * i;
            values.push_back({at<T>(n[0]), static_cast<ptrdiff_t>(n[1]), sizes[i], at<const T>(n[2]), at<T>(n[3]), starts[i]});
        }
        return values;
    }

    template <class T>
    void run_as(const AllStarts<T>& starts, const Panels& panels, const Numbers& numbers, const Numbers& recurrents,
                const Numbers& befores, const PlanView* plan, int64_t steps, bool backward, int threads) const {
        const Program& program = bound_.program;
        if (numbers.size() != 3 * static_cast<size_t>(program.arrays))
            throw std::invalid_argument("run: three numbers are needed for each array");
        std::vector<Binding<T>> bindings;
        for (size_t i = 0; i < numbers.size(); i += 3)
            bindings.push_back({at<T>(numbers[i]), static_cast<ptrdiff_t>(numbers[i + 1]), at<const int64_t>(numbers[i + 2])});
        const auto moving = read<T>(recurrents, bound_.recurrent_sizes, starts.recurrents);
        const auto states = read<T>(befores, bound_.before_sizes, starts.befores);
        const Run<T> task{&program, bindings.data(), moving.data(), states.data(), panels.panels(), plan ? &plan->plan : nullptr,
                          plan ? plan->plan.steps : steps, backward, workspace, nullptr};
        const int team = team_for(bound_.operations() * static_cast<double>(task.steps), threads);
        const auto run = bound_.functions<T>().run;
        const int lanes = plan ? plan->plan.lane_count : team;
        if (team > 1 && plan && shares_steps<T>(lanes, team)) {
            Meeting meeting;
            Run<T> shared = task;
            shared.meeting = &meeting;
            share_out(team, [&](int index, int count) { run(shared, index, count); });
        } else {
            share_out(std::min(team, lanes), [&](int index, int count) { run(task, index, count); });
        }
    }

    // Where lanes are fewer than threads, or the panels outgrow the caches, and a step is worth the meetings.
    template <class T>
    bool shares_steps(int lanes, int team) const {
        constexpr double kWorthMeeting = 100e3, kLargePanels = 6e6;  // operations of a step; bytes
        const bool few = lanes < team, large = sizeof(T) * bound_.operations() / 2 > kLargePanels && lanes < 8 * team;
        return (few || large) && bound_.operations() * lanes > kWorthMeeting && bound_.functions<T>().shares_steps(bound_.program, team);
    }

    BoundProgram bound_;
    AllStarts<float> f32_;
    AllStarts<double> f64_;
};

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

std::vector<std::string> isa_names() {
    std::vector<std::string> names;
    for (const IsaTable* table : available_isas()) names.emplace_back(table->name);
    return names;
}

}  // namespace

NB_MODULE(_kernels, m) {
    nb::set_leak_warnings(false);  // plans and engines live in caches until the process ends
    m.attr("OPERATIONS") = operation_names();
    nb::class_<Panels>(m, "Panels");
    nb::class_<PlanView>(m, "Plan").def(nb::init<int64_t, int64_t, int64_t, int32_t, int32_t, int64_t>());
    nb::class_<Kernel>(m, "Kernel")
        .def(nb::init<const Numbers&, const std::vector<double>&, int>())
        .def("pack", &Kernel::pack, nb::rv_policy::take_ownership)
        .def("fingerprint", &Kernel::fingerprint)
        .def("run", &Kernel::run, nb::arg("panels"), nb::arg("bindings"), nb::arg("recurrents"), nb::arg("befores"),
             nb::arg("plan").none(), nb::arg("steps"), nb::arg("backward"), nb::arg("threads"));
    m.def("outer", &outer);
    m.def("column_sum", &column_sum);
    m.def("token_sum", &token_sum);
    m.def("cross_entropy", &cross_entropy);
    m.def("apply", &apply);
    m.def("available_isas", &isa_names);
    m.def("isa", [] { return std::string(isa().name); });
    m.def("isa_error", &isa_error);
    m.def("select_isa", &select_isa);
    m.def("poison", &poison);
    m.def("team", [] { return std::string(team()); });
    m.def("default_threads", &default_threads);
    bind_ceilings(m);
}
