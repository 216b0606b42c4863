#include "host/bound.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace elman {

const std::vector<std::pair<std::string, int>>& operations() {
#define ELMAN_ROW(op, name, operands, vectors, value) {name, operands},
    static const std::vector<std::pair<std::string, int>> rows{ELMAN_OPERATIONS(ELMAN_ROW){"shift", 2}, {"sum", 1}, {"largest", 1}};
#undef ELMAN_ROW
    return rows;
}

namespace {

bool is_written(Kind kind) { return kind == Kind::kRow || kind == Kind::kNext || kind == Kind::kScratch || kind == Kind::kSummed; }

}  // namespace

// Reads the encoding number by number, with bounds.
class BoundProgram::Reader {
public:
    explicit Reader(const std::vector<int64_t>& code) : code_(code) {}
    int32_t next(int64_t low, int64_t high) {
        if (place_ >= code_.size()) throw std::invalid_argument("program: the encoding ends early");
        const int64_t number = code_[place_++];
        if (number < low || number > high) throw std::invalid_argument("program: a number of the encoding is out of range");
        return static_cast<int32_t>(number);
    }
    int32_t count() { return next(0, 1 << 20); }
    int32_t index(size_t count) { return next(0, static_cast<int64_t>(count) - 1); }
    int32_t size() { return next(1, std::numeric_limits<int32_t>::max() / 4); }
    bool done() const { return place_ == code_.size(); }

private:
    const std::vector<int64_t>& code_;
    size_t place_ = 0;
};

BoundProgram::BoundProgram(const IsaTable& isa, const std::vector<int64_t>& code, const std::vector<double>& values, Precision precision)
    : precision(precision), table_(isa), numbers_(values) {
    Reader in(code);
    read_states(in, recurrent_sizes, recurrent_starts);
    read_states(in, before_sizes, before_starts);
    arrays_.resize(in.count());
    for (Array& array : arrays_) read_array(in, array);
    phases_.resize(in.count());
    starts_.resize(phases_.size()), links_.resize(phases_.size()), instructions_.resize(phases_.size());
    for (size_t k = 0; k < phases_.size(); ++k) read_phase(in, k);
    if (!in.done()) throw std::invalid_argument("program: the encoding is too long");
    precision == Precision::kFloat64 ? shape<double>() : shape<float>();
    list_panels();
    share_scratch();
    list_touched();
    program.arrays = static_cast<int32_t>(arrays_.size()), program.array = arrays_.data();
    program.phases = static_cast<int32_t>(phases_.size()), program.phase = phases_.data();
    program.recurrents = static_cast<int32_t>(recurrent_sizes.size());
    program.befores = static_cast<int32_t>(before_sizes.size());
    program.number = numbers_.data();
}

void BoundProgram::read_states(Reader& in, std::vector<int32_t>& sizes, std::vector<double>& starts) const {
    for (int32_t n = in.count(); n > 0; --n) sizes.push_back(in.size()), starts.push_back(numbers_[in.index(numbers_.size())]);
}

void BoundProgram::read_array(Reader& in, Array& array) const {
    array.kind = static_cast<Kind>(in.next(0, static_cast<int>(Kind::kConstant)));
    const bool before = array.kind == Kind::kBefore, moving = array.kind == Kind::kCarry || array.kind == Kind::kNext;
    const bool constant = array.kind == Kind::kConstant;
    const std::vector<int32_t>& states = before ? before_sizes : recurrent_sizes;
    array.index = in.index(before || moving ? states.size() : constant ? numbers_.size() : 1);
    array.size = in.size();
    if ((before || moving) && array.size != states[array.index]) throw std::invalid_argument("program: an array has another size than its state");
    if (constant && array.size != 1) throw std::invalid_argument("program: a constant is one number");
}

void BoundProgram::read_phase(Reader& in, size_t k) {
    Phase& phase = phases_[k];
    phase.size = in.size();
    phase.registers = in.next(1, 1 << 16);
    phase.chains = in.next(0, phase.registers);
    for (int32_t c = 0; c < phase.chains; ++c) {
        const int32_t start = starts_[k].emplace_back(in.next(-1, static_cast<int64_t>(arrays_.size()) - 1));
        if (start >= 0 && arrays_[start].size != phase.size) throw std::invalid_argument("program: a chain begins with a row of another size");
    }
    links_[k].resize(in.count());
    std::vector<bool> begun(phase.chains);
    for (Link& link : links_[k]) read_link(in, phase, link, begun);
    instructions_[k].resize(in.count());
    for (Instruction& i : instructions_[k]) read_instruction(in, phase, i);
    phase.starts = starts_[k].data();
    phase.links = static_cast<int32_t>(links_[k].size()), phase.link = links_[k].data();
    phase.code = static_cast<int32_t>(instructions_[k].size()), phase.instruction = instructions_[k].data();
    program.registers = std::max(program.registers, phase.registers);
    program.sums = std::max(program.sums, phase.sums);
}

void BoundProgram::read_link(Reader& in, const Phase& phase, Link& link, std::vector<bool>& begun) {
    constexpr double most_elements = 1e12;  // so that no count of bytes overflows
    link.source = in.index(arrays_.size());
    link.depth = arrays_[link.source].size;
    link.panel = program.panels++;
    std::vector<Product>& list = products_.emplace_back(in.next(1, 1 << 20));
    std::vector<bool> used(begun.size());
    for (Product& product : list) {
        const int32_t chain = in.index(begun.size());
        if (used[chain]) throw std::invalid_argument("program: a link adds to a chain twice");
        product = {chain, in.count(), !begun[chain]};
        used[chain] = begun[chain] = true;
    }
    link.products = static_cast<int32_t>(list.size()), link.product = list.data();
    products += link.products;
    if (1.0 * phase.size * link.depth * link.products > most_elements) throw std::invalid_argument("program: the matrices are too large");
}

void BoundProgram::read_instruction(Reader& in, Phase& phase, Instruction& i) const {
    i.op = in.next(0, kOpCount - 1);
    const bool sum = i.op >= kSum;
    for (int32_t* operand : {&i.target, &i.a, &i.b, &i.c}) *operand = in.next(-static_cast<int64_t>(arrays_.size()), phase.registers - 1);
    int32_t bit = 1, left = elman::operations()[i.op].second;
    for (const int32_t operand : {i.a, i.b, i.c}) {
        // Loaded all the same, a whole block of it.
        if (--left < 0 && operand < 0) throw std::invalid_argument("program: an operand that its operation does not take is a register");
        if (operand < 0 && arrays_[~operand].size == 1 && phase.size > 1) i.spread |= bit;
        if (operand < 0 && arrays_[~operand].size != 1 && arrays_[~operand].size != phase.size)
            throw std::invalid_argument("program: an operand has another size than its phase");
        bit *= 2;
    }
    if (sum && (i.spread & 1)) throw std::invalid_argument("program: a sum over units needs a row");
    if (i.target < 0 && !is_written(arrays_[~i.target].kind)) throw std::invalid_argument("program: a target is there to be read");
    if ((sum || i.target < 0) && (i.target >= 0 || arrays_[~i.target].size != (sum ? 1 : phase.size)))
        throw std::invalid_argument("program: a target has the wrong size");
    if (i.op == kShift && (i.a >= 0 || arrays_[~i.a].size != phase.size || i.b >= 0 || arrays_[~i.b].size != 1))
        throw std::invalid_argument("program: a shift takes a row of memory and a number");
    if (sum) i.array = ~i.target, i.target = phase.sums++;
}

// What a run will ask of its caller: panels of these sizes, and perhaps lanes to go through.
void BoundProgram::list_panels() {
    has_steps = !recurrent_sizes.empty() || !before_sizes.empty();
    for (const Array& array : arrays_) has_steps = has_steps || array.kind == Kind::kSummed;
    for (const Phase& phase : phases_)
        for (int32_t l = 0; l < phase.links; ++l)
            panel_bytes.push_back(precision == Precision::kFloat64 ? functions<double>().panel_bytes(phase, phase.link[l])
                                                                   : functions<float>().panel_bytes(phase, phase.link[l]));
}

// Phases without products that follow each other are one run, through which the same lanes go together.
template <class T>
void BoundProgram::shape() {
    Phase* first = nullptr;
    for (Phase& phase : phases_) {
        functions<T>().shape(phase);
        const bool inside = first && !first->links && !phase.links;
        if (!inside) first = &phase;
        phase.run = 0;
        ++first->run;
        first->lanes = std::min(first->lanes, phase.lanes);
    }
}

// The arrays that the code of a run reads and writes, and those that its chains start from.
std::vector<int32_t> BoundProgram::arrays_of_run(size_t first) const {
    std::vector<int32_t> found;
    const auto use = [&](int32_t array) {
        if (array >= 0 && std::find(found.begin(), found.end(), array) == found.end()) found.push_back(array);
    };
    for (size_t k = first; k < first + phases_[first].run; ++k) {
        for (const int32_t start : starts_[k]) use(start);
        for (const Instruction& i : instructions_[k]) {
            use(i.array);
            for (const int32_t operand : {i.target, i.a, i.b, i.c}) use(operand < 0 ? ~operand : -1);
        }
    }
    return found;
}

// Scratch that only one run uses needs rows for the lanes that go together, and stays in the first-level cache.
void BoundProgram::share_scratch() {
    std::vector<int> runs(arrays_.size(), 0);  // that use an array; a phase with products counts as many
    for (size_t k = 0; k < phases_.size(); k += phases_[k].run) {
        const bool products = phases_[k].links > 0;
        for (const int32_t array : arrays_of_run(k)) {
            runs[array] += products ? 2 : 1;
            if (arrays_[array].kind == Kind::kScratch) arrays_[array].turns = phases_[k].lanes;
        }
        for (const Link& link : links_[k]) runs[link.source] += 2;
    }
    for (size_t array = 0; array < arrays_.size(); ++array)
        if (runs[array] != 1) arrays_[array].turns = 0;
}

// What a run will fetch ahead: rows that move from step to step. Its first phase lists them.
void BoundProgram::list_touched() {
    touched_.resize(phases_.size());
    for (size_t k = 0; k < phases_.size(); k += phases_[k].run) {
        if (phases_[k].links) continue;
        for (const int32_t array : arrays_of_run(k)) {
            const Kind kind = arrays_[array].kind;
            const bool still = kind == Kind::kVector || kind == Kind::kScratch || kind == Kind::kConstant;
            if (!still && arrays_[array].size > 1) touched_[k].push_back(array);
        }
        phases_[k].touched = static_cast<int32_t>(touched_[k].size()), phases_[k].touch = touched_[k].data();
    }
}

double BoundProgram::operations() const {
    double total = 0;
    for (const Phase& phase : phases_) {
        for (int32_t l = 0; l < phase.links; ++l) total += 2.0 * phase.size * phase.link[l].depth * phase.link[l].products;
        total += 4.0 * phase.size * phase.code;  // a function of the pointwise program costs about as much as some products
    }
    return total;
}

}  // namespace elman
