// One instruction set: everything that depends on it, behind one table. ELMAN_ISA names it, ELMAN_VECTOR_BYTES is its width.
#include "isa.h"

#include "ceilings.h"
#include "cross_entropy.h"
#include "gradients.h"
#include "recurrence.h"

namespace elman {
namespace {

template <class T>
void apply(int op, const T* a, const T* b, const T* c, T* y, int64_t n) {
    constexpr int width = Vector<T>::width;
    alignas(64) T in[3][width], out[width];
    for (int64_t i = 0; i < n; i += width) {
        const int valid = static_cast<int>(n - i < width ? n - i : width);
        load_row<T>(in[0], a + i, width, valid);
        load_row<T>(in[1], b + i, width, valid);
        load_row<T>(in[2], c + i, width, valid);
        compute<T>(op, out, in[0], in[1], in[2], width);
        store_row<T>(y + i, out, valid);
    }
}

template <class T>
constexpr IsaFunctions<T> functions{Vector<T>::width, block_vectors<T>, panel_size<T>, pack<T>,          run<T>,
                                    outer<T>,         column_sum<T>,    token_sum<T>,  cross_entropy<T>, apply<T>};

}  // namespace
}  // namespace elman

#define ELMAN_TEXT_(x) #x
#define ELMAN_TEXT(x) ELMAN_TEXT_(x)
#define ELMAN_JOIN_(a, b) a##b
#define ELMAN_JOIN(a, b) ELMAN_JOIN_(a, b)

extern "C" [[gnu::visibility("hidden")]] const elman::IsaTable* ELMAN_JOIN(elman_isa_, ELMAN_ISA)() {
    static constexpr elman::IsaTable table{ELMAN_TEXT(ELMAN_ISA), elman::functions<float>, elman::functions<double>,
                                           {elman::ceiling_multiply_add, elman::ceiling_dot_bfloat16, elman::ceiling_read}};
    return &table;
}
