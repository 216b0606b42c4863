// The extension elman.kernels._kernels. Memory crosses as addresses: sizes, types and lifetimes are checked in Python, by
// elman.kernels, before anything comes here.
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind/common.h"
#include "host/dispatch.h"
#include "host/panels.h"

namespace nb = nanobind;
using namespace elman;

namespace {

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

std::vector<std::string> isa_names() {
    std::vector<std::string> names;
    for (const IsaTable* table : available_isas()) names.emplace_back(table->name);
    return names;
}

}  // namespace

NB_MODULE(_kernels, m) {
    nb::set_leak_warnings(false);  // plans and engines live in caches until the process ends
    m.attr("OPERATIONS") = operations();
    nb::class_<Panels>(m, "Panels");
    nb::class_<PlanView>(m, "Plan").def(nb::init<int64_t, int64_t, int64_t, int32_t, int32_t, int64_t>());
    nb::class_<Kernel>(m, "Kernel")
        .def(nb::init<const Numbers&, const std::vector<double>&, int>())
        .def("pack", &Kernel::pack, nb::rv_policy::take_ownership)
        .def("fingerprint", &Kernel::fingerprint)
        .def("run", &Kernel::run, nb::arg("panels"), nb::arg("bindings"), nb::arg("recurrents"), nb::arg("befores"),
             nb::arg("plan").none(), nb::arg("steps"), nb::arg("backward"), nb::arg("threads"));
    m.def("available_isas", &isa_names);
    m.def("isa", [] { return std::string(isa().name); });
    m.def("isa_error", &isa_error);
    m.def("select_isa", &select_isa);
    m.def("poison", &poison);
    m.def("team", [] { return std::string(team()); });
    m.def("default_threads", &default_threads);
    bind_sums(m);
    bind_ceilings(m);
}
