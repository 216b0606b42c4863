#include "bound.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "dispatch.h"

namespace elman {

namespace {

bool poisoned = false;

struct Workspace {
    std::unique_ptr<Aligned> memory;
    size_t size = 0;
};

thread_local Workspace own;

}  // namespace

const std::vector<std::string>& operation_names() {
    static const std::vector<std::string> names{
        "load", "load_scalar", "store", "accumulate",    "sum", "constant", "copy", "add",     "sub",     "mul",     "div",           "neg",  "sigmoid",
        "tanh", "relu",        "exp",      "log", "softplus", "abs",  "sqrt",    "minimum", "maximum", "greater", "greater_equal", "where"};
    static_assert(kOpCount == 25);
    return names;
}

void* workspace(size_t bytes) {
    if (own.size < bytes) {
        own.memory = std::make_unique<Aligned>(bytes);
        own.size = bytes;
    }
    if (poisoned) std::memset(own.memory->memory, 0xff, own.size);  // all bits set is a NaN
    return own.memory->memory;
}

void poison(bool on) { poisoned = on; }

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
    int32_t size() { return next(1, std::numeric_limits<int32_t>::max() / 4); }
    bool done() const { return place_ == code_.size(); }

private:
    const std::vector<int64_t>& code_;
    size_t place_ = 0;
};

BoundProgram::BoundProgram(const std::vector<int64_t>& code, const std::vector<double>& values, bool is_double)
    : is_double(is_double), table_(isa()) {
    Reader in(code);
    for (int32_t n = in.count(); n > 0; --n) recurrent_sizes.push_back(in.size()), recurrent_starts.push_back(values.at(in.count()));
    for (int32_t n = in.count(); n > 0; --n) before_sizes.push_back(in.size()), before_starts.push_back(values.at(in.count()));
    arrays_.resize(in.count());
    const int32_t arrays = static_cast<int32_t>(arrays_.size());
    for (Array& array : arrays_) {
        array.kind = static_cast<Kind>(in.next(0, static_cast<int>(Kind::kSummed)));
        const bool before = array.kind == Kind::kBefore, moves = array.kind == Kind::kCarry || array.kind == Kind::kNext;
        const size_t known = before ? before_sizes.size() : moves ? recurrent_sizes.size() : 1;
        array.index = in.next(0, static_cast<int64_t>(known) - 1);
        array.size = in.size();
    }
    phases_.resize(in.count());
    starts_.resize(phases_.size()), links_.resize(phases_.size()), instructions_.resize(phases_.size());
    for (size_t k = 0; k < phases_.size(); ++k) {
        Phase& phase = phases_[k];
        phase.size = in.size();
        phase.registers = in.count();
        phase.chains = in.next(0, phase.registers);
        for (int32_t c = 0; c < phase.chains; ++c) starts_[k].push_back(in.next(-1, arrays - 1));
        links_[k].resize(in.count());
        for (Link& link : links_[k]) {
            link.source = in.next(0, arrays - 1);
            link.depth = arrays_[link.source].size;
            link.panel = program.panels++;
            std::vector<Product>& products = products_.emplace_back(in.count());
            for (Product& product : products) product = {in.next(0, phase.chains - 1), in.count()};
            link.products = static_cast<int32_t>(products.size());
            link.product = products.data();
        }
        instructions_[k].resize(in.count());
        for (Instruction& i : instructions_[k]) {
            i.op = in.next(0, kOpCount - 1);
            for (int32_t* r : {&i.target, &i.a, &i.b, &i.c}) *r = in.next(0, phase.registers - 1);
            i.array = in.next(-1, arrays - 1);
            i.value = values.at(in.count());
            phase.sums += i.op == kSum;
        }
        phase.starts = starts_[k].data();
        phase.links = static_cast<int32_t>(links_[k].size()), phase.link = links_[k].data();
        phase.code = static_cast<int32_t>(instructions_[k].size()), phase.instruction = instructions_[k].data();
        program.registers = std::max(program.registers, phase.registers);
        program.sums = std::max(program.sums, phase.sums);
    }
    if (!in.done()) throw std::invalid_argument("program: the encoding is too long");
    is_double ? choose_blocks<double>() : choose_blocks<float>();
    program.arrays = arrays, program.array = arrays_.data();
    program.phases = static_cast<int32_t>(phases_.size()), program.phase = phases_.data();
    program.recurrents = static_cast<int32_t>(recurrent_sizes.size());
    program.befores = static_cast<int32_t>(before_sizes.size());
}

template <class T>
void BoundProgram::choose_blocks() {
    for (Phase& phase : phases_) phase.vectors = functions<T>().block_vectors(phase.chains, phase.size);
}

double BoundProgram::operations() const {
    double total = 0;
    for (const Phase& phase : phases_) {
        for (int32_t l = 0; l < phase.links; ++l) total += 2.0 * phase.size * phase.link[l].depth * phase.link[l].products;
        total += 4.0 * phase.size * phase.code;  // a function of the pointwise program costs about as much as some products
    }
    return total;
}

template <class T>
Panels<T>::Panels(const BoundProgram& bound, const std::vector<MatrixView<T>>& views) {
    const auto& isa = bound.functions<T>();
    std::vector<size_t> offsets;
    size_t total = 0, products = 0;
    for (int32_t k = 0; k < bound.program.phases; ++k) {
        const Phase& phase = bound.program.phase[k];
        for (int32_t l = 0; l < phase.links; ++l) {
            offsets.push_back(total);
            total += (isa.panel_size(phase, phase.link[l]) + 15) / 16 * 16;
            products += phase.link[l].products;
        }
    }
    if (products != views.size()) throw std::invalid_argument("panels: one view is needed for each product");
    memory_ = std::make_unique<Aligned>(total * sizeof(T));
    T* memory = reinterpret_cast<T*>(memory_->memory);
    const MatrixView<T>* view = views.data();
    for (int32_t k = 0; k < bound.program.phases; ++k) {
        const Phase& phase = bound.program.phase[k];
        for (int32_t l = 0; l < phase.links; view += phase.link[l++].products) {
            T* panel = memory + offsets[panels_.size()];
            isa.pack(phase, phase.link[l], view, panel);
            panels_.push_back(panel);
        }
    }
}

template class Panels<float>;
template class Panels<double>;

}  // namespace elman
