// A program bound to sizes, as Python sees it: weights are packed once, then it runs on memory that is lent for a call.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>

#include "bind/common.h"
#include "bind/values.h"
#include "host/panels.h"

namespace nb = nanobind;
using namespace elman;

namespace {

using Places = std::vector<const Rows*>;
using States = std::vector<const StateMemory*>;
using Views = std::vector<const Weight*>;

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

// What a run is given.
struct Given {
    const Panels& panels;
    const Places& places;  // of the vectors, then of the other arrays that lie in the caller's memory, both in the program's order
    const States &recurrents, &befores;
    const PlanView* plan;
    int64_t steps;
    bool backward;
    int threads;
};

class Kernel {
public:
    Kernel(const IsaTable& isa, const std::vector<int64_t>& code, const std::vector<double>& values, const std::vector<std::string>& names,
           int precision)
        : bound_(isa, code, values, precision_of(precision)),
          names_(names),
          f32_{{bound_.recurrent_sizes, bound_.recurrent_starts}, {bound_.before_sizes, bound_.before_starts}},
          f64_{{bound_.recurrent_sizes, bound_.recurrent_starts}, {bound_.before_sizes, bound_.before_starts}} {
        require(names_.size() == static_cast<size_t>(bound_.program.arrays), "Kernel: one name is needed for each array");
    }

    // views: of each product of each link
    Panels* pack(const Views& weights, int threads) const {
        check_threads(threads);
        return is_double() ? pack_as<double>(weights, threads) : pack_as<float>(weights, threads);
    }

    uint64_t fingerprint(const Views& weights) const {
        return is_double() ? fingerprint_as<double>(weights) : fingerprint_as<float>(weights);
    }

    void run(const Panels& panels, const Places& places, const States& recurrents, const States& befores, const PlanView* plan,
             int64_t steps, bool backward, int threads) const {
        check_threads(threads);
        require(steps >= 0 && steps <= std::numeric_limits<int32_t>::max(), "run: steps must be 0 or more, in 32 bits");
        require(!plan || plan->plan().steps == steps, "run: the plan has another number of steps");
        require(plan || !bound_.has_steps, "run: a program that goes from step to step needs a plan");
        const Given given{panels, places, recurrents, befores, plan, steps, backward, threads};
        is_double() ? run_as<double>(f64_, given) : run_as<float>(f32_, given);
    }

private:
    template <class T>
    struct AllStarts {
        Starts<T> recurrents, befores;
    };

    bool is_double() const { return bound_.precision == Precision::kFloat64; }

    template <class T>
    static std::vector<MatrixView<T>> views_of(const Views& weights) {
        std::vector<MatrixView<T>> views;
        for (const Weight* weight : weights) {
            require(weight && weight->address, "pack: a matrix has no memory");
            views.push_back(weight->template view<T>());
        }
        return views;
    }

    template <class T>
    Panels* pack_as(const Views& weights, int threads) const {
        const auto views = views_of<T>(weights);
        nb::gil_scoped_release release;
        return new Panels(bound_, views, threads);
    }

    template <class T>
    uint64_t fingerprint_as(const Views& weights) const {
        const auto views = views_of<T>(weights);
        nb::gil_scoped_release release;
        return elman::fingerprint(bound_, views);
    }

    // Memory of all arrays; those that the run makes itself have none.
    template <class T>
    std::vector<Binding<T>> bindings(const Places& places, bool any) const {
        const Program& program = bound_.program;
        std::vector<Binding<T>> found(program.arrays);
        auto place = places.begin();
        for (const bool vectors : {true, false})
            for (int32_t k = 0; k < program.arrays; ++k) {
                const Kind kind = program.array[k].kind;
                if (vectors ? kind != Kind::kVector : kind != Kind::kRow && kind != Kind::kSummed) continue;
                require(place != places.end(), "run: one place is needed for each array in the caller's memory; there are too few");
                if (any && !(*place && (*place)->address)) throw std::invalid_argument("run: '" + names_[k] + "' has no memory");
                if (*place) found[k] = (*place)->template binding<T>();
                ++place;
            }
        require(place == places.end(), "run: one place is needed for each array in the caller's memory; there are too many");
        return found;
    }

    template <class T>
    static std::vector<Recurrent<T>> states_of(const States& memory, const std::vector<int32_t>& sizes, const Starts<T>& starts) {
        require(memory.size() == sizes.size(), "run: memory is needed for each state");
        std::vector<Recurrent<T>> values;
        for (size_t i = 0; i < sizes.size(); ++i) {
            require(memory[i], "run: memory is needed for each state, None is none");
            const StateMemory& m = *memory[i];
            values.push_back({at<T>(m.sequence), static_cast<ptrdiff_t>(m.stride), sizes[i], at<const T>(m.initial), at<T>(m.final), starts[i]});
        }
        return values;
    }

    template <class T>
    void run_as(const AllStarts<T>& starts, const Given& given) const {
        require(given.panels.fit<T>(bound_), "run: these panels were packed for another program");
        const auto bound = bindings<T>(given.places, given.steps > 0);
        const auto moving = states_of<T>(given.recurrents, bound_.recurrent_sizes, starts.recurrents);
        const auto states = states_of<T>(given.befores, bound_.before_sizes, starts.befores);
        for (const Recurrent<T>& state : states)
            require(state.sequence || !given.plan->walks(), "run: a derivative needs the steps of each forward state");
        const Plan* plan = given.plan ? &given.plan->plan() : nullptr;
        const Run<T> task{&bound_.program, bound.data(),  moving.data(),  states.data(), given.panels.panels(), plan,
                          given.steps,     given.backward, workspace, nullptr};
        nb::gil_scoped_release release;
        walk(task, team_for(bound_.operations() * static_cast<double>(given.steps), given.threads));
    }

    template <class T>
    void walk(const Run<T>& task, int team) const {
        const auto run = bound_.functions<T>().run;
        const int lanes = task.plan ? task.plan->lane_count : team;
        if (team > 1 && task.plan && shares_steps<T>(lanes, team)) {
            Meeting meeting;
            Run<T> shared = task;
            shared.meeting = &meeting;
            share_out(team, [&](int index, int count) { return run(shared, index, count); });
        } else {
            share_out(std::min(team, lanes), [&](int index, int count) { return run(task, index, count); });
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
    std::vector<std::string> names_;
    AllStarts<float> f32_;
    AllStarts<double> f64_;
};

}  // namespace

void bind_kernel(nb::module_& m) {
    nb::class_<Panels>(m, "Panels");
    nb::class_<Kernel>(m, "Kernel")
        .def(nb::init<const IsaTable&, const std::vector<int64_t>&, const std::vector<double>&, const std::vector<std::string>&, int>())
        .def("pack", &Kernel::pack, nb::rv_policy::take_ownership)
        .def("fingerprint", &Kernel::fingerprint)
        .def("run", &Kernel::run, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg().none(), nb::arg(), nb::arg(), nb::arg());
}
