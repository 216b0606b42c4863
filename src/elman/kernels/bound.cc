#include "bound.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "dispatch.h"
#include "threads.h"

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
        "add",     "sub",     "mul",     "div",           "copy",  "neg", "relu", "abs", "sigmoid", "tanh", "exp", "log", "softplus", "sqrt",
        "minimum", "maximum", "greater", "greater_equal", "where", "fma", "fms",  "fnma", "sum"};
    static_assert(kOpCount == 23);
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
        array.kind = static_cast<Kind>(in.next(0, static_cast<int>(Kind::kConstant)));
        const bool before = array.kind == Kind::kBefore, moves = array.kind == Kind::kCarry || array.kind == Kind::kNext;
        const size_t known = before                            ? before_sizes.size()
                             : moves                           ? recurrent_sizes.size()
                             : array.kind == Kind::kConstant ? values.size()
                                                               : 1;
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
        std::vector<bool> begun(phase.chains);
        for (Link& link : links_[k]) {
            link.source = in.next(0, arrays - 1);
            link.depth = arrays_[link.source].size;
            link.panel = program.panels++;
            std::vector<Product>& products = products_.emplace_back(in.count());
            for (Product& product : products) {
                const int32_t chain = in.next(0, phase.chains - 1);
                product = {chain, in.count(), !begun[chain]};
                begun[chain] = true;
            }
            link.products = static_cast<int32_t>(products.size());
            link.product = products.data();
        }
        instructions_[k].resize(in.count());
        for (Instruction& i : instructions_[k]) {
            i.op = in.next(0, kOpCount - 1);
            const bool sum = i.op == kSum;
            for (int32_t* operand : {&i.target, &i.a, &i.b, &i.c}) *operand = in.next(-arrays, phase.registers - 1);
            int32_t bit = 1;
            for (const int32_t operand : {i.a, i.b, i.c}) {
                if (operand < 0 && arrays_[~operand].size == 1 && phase.size > 1) i.spread |= bit;
                if (operand < 0 && arrays_[~operand].size != 1 && arrays_[~operand].size != phase.size)
                    throw std::invalid_argument("program: an operand has another size than its phase");
                bit *= 2;
            }
            if ((sum || i.target < 0) && (i.target >= 0 || arrays_[~i.target].size != (sum ? 1 : phase.size)))
                throw std::invalid_argument("program: a target has the wrong size");
            if (sum) i.array = ~i.target, i.target = phase.sums++;
        }
        phase.starts = starts_[k].data();
        phase.links = static_cast<int32_t>(links_[k].size()), phase.link = links_[k].data();
        phase.code = static_cast<int32_t>(instructions_[k].size()), phase.instruction = instructions_[k].data();
        program.registers = std::max(program.registers, phase.registers);
        program.sums = std::max(program.sums, phase.sums);
    }
    if (!in.done()) throw std::invalid_argument("program: the encoding is too long");
    numbers_ = values, program.number = numbers_.data();
    is_double ? shape<double>() : shape<float>();
    share_scratch();
    list_touched();
    program.arrays = arrays, program.array = arrays_.data();
    program.phases = static_cast<int32_t>(phases_.size()), program.phase = phases_.data();
    program.recurrents = static_cast<int32_t>(recurrent_sizes.size());
    program.befores = static_cast<int32_t>(before_sizes.size());
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

// What will be fetched ahead: rows that move from step to step. Of a run its first phase lists it.
void BoundProgram::list_touched() {
    touched_.resize(phases_.size());
    for (size_t k = 0; k < phases_.size(); k += phases_[k].run) {
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

template <class T>
Panels<T>::Panels(const BoundProgram& bound, const std::vector<MatrixView<T>>& views, int threads) {
    struct Part {
        const Phase* phase;
        const Link* link;
        const MatrixView<T>* views;
        size_t offset;
    };
    const auto& isa = bound.functions<T>();
    std::vector<Part> parts;
    size_t total = 0, products = 0;
    for (int32_t k = 0; k < bound.program.phases; ++k) {
        const Phase& phase = bound.program.phase[k];
        for (int32_t l = 0; l < phase.links; ++l) {
            parts.push_back({&phase, &phase.link[l], views.data() + products, total});
            total += (isa.panel_size(phase, phase.link[l]) + 15) / 16 * 16;
            products += phase.link[l].products;
        }
    }
    if (products != views.size()) throw std::invalid_argument("panels: one view is needed for each product");
    memory_ = std::make_unique<Aligned>(total * sizeof(T));
    for (const Part& part : parts) panels_.push_back(reinterpret_cast<T*>(memory_->memory) + part.offset);
    struct Work {
        const std::vector<Part>& parts;
        const IsaFunctions<T>& isa;
        T* memory;
    } work{parts, isa, reinterpret_cast<T*>(memory_->memory)};
    constexpr size_t kWorthAThread = 1 << 15;  // elements
    parallel(
        static_cast<int>(std::min<size_t>(threads, total / kWorthAThread + 1)),
        [](void* context, int index, int count) {
            const Work& w = *static_cast<Work*>(context);
            for (const Part& part : w.parts) w.isa.pack(*part.phase, *part.link, part.views, w.memory + part.offset, index, count);
        },
        &work);
}

namespace {

constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;  // 2^64 over the golden ratio

// Eight sums side by side, so that the multiplications do not wait for each other. Each word is folded first: else two changes
// of its highest bit would cancel out.
class Digest {
public:
    void add(uint64_t word) {
        uint64_t& sum = sums_[place_++ % 8];
        sum = (sum + (word ^ (word >> 29))) * kOdd;
    }
    void add(const char* bytes, size_t count) {
        size_t i = 0;
        for (; place_ % 8 == 0 && i + 64 <= count; i += 64)
            for (int k = 0; k < 8; ++k) {
                uint64_t word;
                std::memcpy(&word, bytes + i + 8 * k, 8);
                sums_[k] = (sums_[k] + (word ^ (word >> 29))) * kOdd;
            }
        for (; i < count; i += 4) {
            uint32_t word;
            std::memcpy(&word, bytes + i, 4);
            add(word);
        }
    }
    uint64_t value() const {
        uint64_t all = place_;
        for (const uint64_t sum : sums_) all = (all ^ (sum ^ (sum >> 32))) * kOdd;
        return all ^ (all >> 32);
    }

private:
    uint64_t sums_[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint64_t place_ = 0;
};

}  // namespace

template <class T>
uint64_t fingerprint(const BoundProgram& bound, const std::vector<MatrixView<T>>& views) {
    Digest digest;
    const MatrixView<T>* view = views.data();
    for (int32_t k = 0; k < bound.program.phases; ++k) {
        const Phase& phase = bound.program.phase[k];
        for (int32_t l = 0; l < phase.links; ++l) {
            for (int32_t p = 0; p < phase.link[l].products; ++p, ++view) {
                // The longer way through memory is the inner one, whichever way the matrix lies.
                const bool turned = view->row_stride == 1 && view->column_stride != 1;
                const int32_t outer = turned ? phase.link[l].depth : phase.size, inner = turned ? phase.size : phase.link[l].depth;
                const ptrdiff_t far = turned ? view->column_stride : view->row_stride, near = turned ? 1 : view->column_stride;
                for (int32_t i = 0; i < outer; ++i) {
                    const T* row = view->base + i * far;
                    if (near == 1)
                        digest.add(reinterpret_cast<const char*>(row), sizeof(T) * inner);
                    else
                        for (int32_t j = 0; j < inner; ++j) digest.add(reinterpret_cast<const char*>(row + j * near), sizeof(T));
                }
            }
        }
    }
    return digest.value();
}

template class Panels<float>;
template class Panels<double>;
template uint64_t fingerprint<float>(const BoundProgram&, const std::vector<MatrixView<float>>&);
template uint64_t fingerprint<double>(const BoundProgram&, const std::vector<MatrixView<double>>&);

}  // namespace elman
