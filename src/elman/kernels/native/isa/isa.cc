// One instruction set: everything that depends on it, behind one table. ELMAN_ISA names it, ELMAN_VECTOR_BYTES is its width.
#include "isa/isa.h"

#include "isa/ceilings.h"
#include "isa/cross_entropy.h"
#include "isa/gradients.h"
#include "isa/recurrence.h"

namespace elman {
namespace {

template <class T, class F>
constexpr IsaFunctions<T> functions{Vector<T>::width, shape<T, F>,   panel_bytes<T, F>, shares_steps<T>,  pack<T, F>, run<T, F>,
                                    outer<T, F>,      column_sum<T>, token_sum<T>,      cross_entropy<T>};

}  // namespace
}  // namespace elman

#define ELMAN_TEXT_(x) #x
#define ELMAN_TEXT(x) ELMAN_TEXT_(x)
#define ELMAN_JOIN_(a, b) a##b
#define ELMAN_JOIN(a, b) ELMAN_JOIN_(a, b)

extern "C" [[gnu::visibility("hidden")]] const elman::IsaTable* ELMAN_JOIN(elman_isa_, ELMAN_ISA)() {
    static constexpr elman::IsaTable table{ELMAN_TEXT(ELMAN_ISA), elman::functions<float, float>,
                                           elman::functions<double, double>, elman::functions<float, elman::Pair>,
                                           {elman::ceiling_multiply_add, elman::ceiling_dot_bfloat16, elman::ceiling_read}};
    return &table;
}
