#include <cstring>
#include <stdexcept>

#include "host/panels.h"

namespace elman {
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
    if (views.size() != static_cast<size_t>(bound.products)) throw std::invalid_argument("fingerprint: one view is needed for each product");
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

template uint64_t fingerprint(const BoundProgram&, const std::vector<MatrixView<float>>&);
template uint64_t fingerprint(const BoundProgram&, const std::vector<MatrixView<double>>&);

}  // namespace elman
