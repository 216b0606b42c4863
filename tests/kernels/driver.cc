// The kernels without Python, for sanitizers: every program of programs.txt runs on heap memory of exactly the right size, on
// every instruction set, over dense, ragged and empty sequences, with one to six threads that share lanes or steps, and must give
// the same bits; also while another thread of the program does the same, and after memory was short. Damaged programs are refused
// or stay inside their memory.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "host/dispatch.h"
#include "host/panels.h"
#include "host/threads.h"

using namespace elman;

namespace {

struct Line {
    std::string name;
    bool backward, steps;
    std::vector<int64_t> code;
    std::vector<double> values;
};

std::vector<Line> read(const std::string& path) {
    std::ifstream file(path);
    std::vector<Line> lines;
    for (std::string text; std::getline(file, text);) {
        std::istringstream in(text);
        Line line;
        size_t count = 0;
        in >> line.name >> line.backward >> line.steps >> count;
        line.code.resize(count);
        for (int64_t& number : line.code) in >> number;
        in >> count;
        line.values.resize(count);
        for (double& value : line.values) in >> value;
        if (!in) std::abort();
        lines.push_back(line);
    }
    return lines;
}

// Sequences of lengths 4, 0, 6, 1, 3 on three lanes; the second of them begins with the cell's own start.
struct Sequences {
    std::vector<int32_t> rows, segments, lanes;
    int batch = 5;
    explicit Sequences(bool one_lane) {
        const int32_t lengths[] = {6, 0, 4, 1, 3};
        int32_t start = 0;
        for (int32_t s = 0; s < batch; ++s) {
            for (int32_t n : {start, lengths[s], s == 1 ? -1 : s, s}) segments.push_back(n);
            start += lengths[s];
        }
        for (int32_t n = 0; n < start; ++n) rows.push_back((n * 5) % start);
        lanes = one_lane ? std::vector<int32_t>{0, 5} : std::vector<int32_t>{0, 2, 4, 5};
    }
    Plan plan() const {
        return {rows.data(), segments.data(), lanes.data(), static_cast<int32_t>(lanes.size()) - 1, batch, static_cast<int64_t>(rows.size())};
    }
};

constexpr int kStarved = -1;  // in place of a number of threads

template <class T>
using Memory = std::vector<std::unique_ptr<T[]>>;

template <class T>
T* fresh(Memory<T>& memory, size_t count, std::mt19937& random) {
    std::normal_distribution<T> normal;
    memory.push_back(std::make_unique<T[]>(count));
    for (size_t i = 0; i < count; ++i) memory.back()[i] = T(0.3) * normal(random);
    return memory.back().get();
}

// Gives no memory to the calls of the worker that asks as the third.
std::atomic<int> asked{0};
void* starved(size_t bytes) noexcept { return ++asked == 3 ? nullptr : workspace(bytes); }

// Whether all workers of a run had memory.
template <class T>
bool run_on(const Run<T>& run, const IsaFunctions<T>& isa, int threads) {
    struct Context {
        const Run<T>& run;
        const IsaFunctions<T>& isa;
        std::atomic<bool> done{true};
    } context{run, isa};
    parallel(
        threads,
        [](void* p, int index, int count) {
            auto& c = *static_cast<Context*>(p);
            if (!c.isa.run(c.run, index, count)) c.done = false;
        },
        &context);
    return context.done;
}

// Runs a program once on memory drawn from a fixed seed; gives all memory after it.
template <class T>
std::vector<T> once(const IsaTable& isa, const Line& line, Precision precision, const Sequences& sequences, bool keep, int threads, bool meet = false) {
    std::mt19937 random(7);
    Memory<T> memory;
    std::vector<size_t> sizes;
    auto draw = [&](size_t count) {
        sizes.push_back(count);
        return fresh(memory, count, random);
    };
    const BoundProgram bound(isa, line.code, line.values, precision);
    const Program& program = bound.program;
    if (bound.has_steps && !line.steps) throw std::invalid_argument("a plan is needed");  // as bind/kernel.cc has it
    const Plan plan = sequences.plan();
    const size_t steps = static_cast<size_t>(plan.steps);
    std::vector<MatrixView<T>> views;
    for (int32_t k = 0; k < program.phases; ++k)
        for (int32_t l = 0; l < program.phase[k].links; ++l)
            for (int32_t p = 0; p < program.phase[k].link[l].products; ++p) {
                const int32_t depth = program.phase[k].link[l].depth;
                views.push_back({draw(static_cast<size_t>(program.phase[k].size) * depth), depth, 1});
            }
    const Panels panels(bound, views);
    std::vector<Binding<T>> bindings;
    for (int32_t k = 0; k < program.arrays; ++k) {
        const Array& array = program.array[k];
        const size_t rows = array.kind == Kind::kRow ? steps : array.kind == Kind::kSummed ? plan.lane_count : array.kind == Kind::kVector;
        bindings.push_back({rows ? draw(rows * array.size) : nullptr, array.size, nullptr});
    }
    std::vector<std::vector<T>> starts;
    auto states = [&](const std::vector<int32_t>& widths, bool whole) {
        std::vector<Recurrent<T>> values;
        for (int32_t size : widths) {
            starts.emplace_back(size, T(0.5));
            T* sequence = whole ? draw(steps * size) : nullptr;
            const T* initial = draw(static_cast<size_t>(sequences.batch) * size);
            values.push_back({sequence, size, size, initial, draw(static_cast<size_t>(sequences.batch) * size), starts.back().data()});
        }
        return values;
    };
    starts.reserve(bound.recurrent_sizes.size() + bound.before_sizes.size());
    const auto recurrents = states(bound.recurrent_sizes, keep && !line.backward);
    const auto befores = states(bound.before_sizes, true);
    Meeting meeting;
    const bool shared = meet && line.steps && bound.functions<T>().shares_steps(program, 1);
    const Run<T> run{&program, bindings.data(), recurrents.data(), befores.data(), panels.panels(),
                     line.steps ? &plan : nullptr, plan.steps, line.backward, workspace, shared ? &meeting : nullptr};
    if (threads == kStarved) {
        Meeting other;
        Run<T> hungry = run;
        hungry.workspace = starved, hungry.meeting = shared ? &other : nullptr, asked = 0;
        if (run_on(hungry, bound.functions<T>(), 3) != (asked < 3)) std::abort();
        return {};
    }
    if (!run_on(run, bound.functions<T>(), threads)) std::abort();
    std::vector<T> all;
    for (size_t i = 0; i < memory.size(); ++i) all.insert(all.end(), memory[i].get(), memory[i].get() + sizes[i]);
    return all;
}

template <class T>
void check(const Line& line, Precision precision, const IsaTable& isa) {
    for (const bool keep : {false, true})
        for (const bool one_lane : {false, true}) {
            const Sequences sequences(one_lane);
            const std::vector<T> expected = once<T>(isa, line, precision, sequences, keep, 1);
            once<T>(isa, line, precision, sequences, keep, kStarved, keep == one_lane);
            for (const int threads : {2, 3, 5, 6}) {
                const std::vector<T> got = once<T>(isa, line, precision, sequences, keep, threads, threads % 3 == 0);
                if (std::memcmp(got.data(), expected.data(), expected.size() * sizeof(T)) != 0) {
                    std::fprintf(stderr, "%s on %s: %d threads give other bits than one\n", line.name.c_str(), isa.name, threads);
                    std::exit(1);
                }
            }
        }
}

// Numbers of the encoding changed at random.
template <class T>
void check_damaged(const Line& line, Precision precision, const IsaTable& isa, std::mt19937& random) {
    for (int turn = 0; turn < 8; ++turn) {
        Line damaged = line;
        for (int changes = 1 + turn % 3; changes > 0; --changes)
            damaged.code[random() % line.code.size()] = static_cast<int64_t>(random() % 36) - 5;
        try {
            once<T>(isa, damaged, precision, Sequences(turn % 2), false, 2);
        } catch (const std::invalid_argument&) {
        }
    }
}

// Two callers at once, of whom one at a time has the pool.
void check_callers(const std::vector<Line>& lines, const IsaTable& isa) {
    std::vector<std::thread> callers;
    for (size_t caller = 0; caller < 2; ++caller)
        callers.emplace_back([&, caller] {
            for (size_t i = caller; i < lines.size(); i += 7) {
                const Sequences sequences(i % 2);
                const std::vector<float> expected = once<float>(isa, lines[i], Precision::kFloat32, sequences, true, 1);
                for (int turn = 0; turn < 3; ++turn)
                    if (once<float>(isa, lines[i], Precision::kFloat32, sequences, true, 3, turn == 2) != expected) std::abort();
            }
        });
    for (std::thread& caller : callers) caller.join();
}

// The sums over steps, once with a size that fills no vector.
template <class T>
void check_sums(const IsaFunctions<T>& isa) {
    std::mt19937 random(7);
    Memory<T> memory;
    const int size = 21, depth = 13, positions = 700;
    T* d = fresh(memory, static_cast<size_t>(positions) * size, random);
    T* v = fresh(memory, static_cast<size_t>(positions) * depth, random);
    std::vector<T> out(size * depth), turned(size * depth), column(size), table(4 * size);
    std::vector<const T*> source;
    std::vector<int32_t> rows;
    std::vector<int64_t> tokens;
    for (int n = 0; n < positions; ++n) source.push_back(v + n * depth), rows.push_back(positions - 1 - n), tokens.push_back(n % 4);
    const OuterPart<T> parts[] = {{d, size, size, out.data(), depth, 1}, {d, size, size, turned.data(), 1, size}};
    const Outer<T> task{parts, 2, source.data(), rows.data(), positions, depth, workspace};
    for (int index = 0; index < 3; ++index) {
        if (!isa.outer(task, index, 3)) std::abort();
        isa.column_sum({d, size, positions, size, column.data()}, index, 3);
        isa.token_sum({d, size, tokens.data(), positions, size, table.data(), size}, index, 3);
    }
    for (int m = 0; m < size; ++m)
        for (int k = 0; k < depth; ++k)
            if (out[m * depth + k] != turned[k * size + m]) std::exit(1);
}

// Softmax and loss in place, the last target ignored: gradients of a row add up to zero.
template <class T>
void check_loss(const IsaFunctions<T>& isa) {
    std::mt19937 random(7);
    Memory<T> memory;
    const int size = 21, stride = 32, rows = 5;
    T* logits = fresh(memory, static_cast<size_t>(rows) * stride, random);
    const std::vector<int64_t> targets{0, 20, 7, 7, -1};
    const std::vector<T> scales(rows, T(1));
    std::vector<T> losses(rows, T(-1));
    for (int index = 0; index < 3; ++index)
        isa.cross_entropy({logits, stride, rows, size, targets.data(), -1, T(0.1), scales.data(), losses.data()}, index, 3);
    for (int n = 0; n < rows; ++n) {
        T total = 0;
        for (int u = 0; u < size; ++u) total += logits[n * stride + u];
        if (!(total < T(1e-5) && total > T(-1e-5)) || (losses[n] > 0) != (n < 4)) std::exit(1);
    }
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<Line> lines = read(argc > 1 ? argv[1] : "tests/kernels/programs.txt");
    if (lines.empty()) return std::fprintf(stderr, "no programs; run this from the project's folder\n"), 1;
    for (const IsaTable* table : available_isas()) {
        std::mt19937 random(7);
        check_callers(lines, *table);
        for (const Line& line : lines) {
            check_damaged<float>(line, Precision::kFloat32, *table, random);
            check_damaged<double>(line, Precision::kFloat64, *table, random);
            check<float>(line, Precision::kFloat32, *table);
            check<double>(line, Precision::kFloat64, *table);
            check<float>(line, Precision::kBfloat16, *table);
        }
        check_sums(table->f32);
        check_sums(table->bf16);
        check_sums(table->f64);
        check_loss(table->f32);
        check_loss(table->f64);
        std::printf("%s: %zu programs, in three precisions, same bits with 1 to 6 threads\n", table->name, lines.size());
        std::fflush(stdout);
    }
    return 0;
}
