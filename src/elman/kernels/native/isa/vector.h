// Fixed-width vectors from compiler extensions: the only vocabulary of the instruction-set files.
//
// ELMAN_VECTOR_BYTES (16, 32 or 64) is set for each translation unit. Everything here has internal linkage: the same
// source is compiled for several instruction sets, and a shared (weak) symbol would let the linker keep the wrong one.
// Masks are the vectors that comparisons give: all bits set in a lane that holds, none in one that does not.
#pragma once

#if !defined(ELMAN_VECTOR_BYTES) || (ELMAN_VECTOR_BYTES != 16 && ELMAN_VECTOR_BYTES != 32 && ELMAN_VECTOR_BYTES != 64)
#error "define ELMAN_VECTOR_BYTES as 16, 32 or 64"
#endif

#define ELMAN_INLINE [[gnu::always_inline]] inline

namespace elman {
namespace {

template <class T>
struct Vector {
    static constexpr int width = ELMAN_VECTOR_BYTES / static_cast<int>(sizeof(T));
    typedef T type __attribute__((vector_size(ELMAN_VECTOR_BYTES)));
    // The same lanes at any address that T allows, whatever the memory was declared as.
    typedef T loose __attribute__((vector_size(ELMAN_VECTOR_BYTES), aligned(alignof(T)), may_alias));
    using mask = decltype(type{} < type{});
};

template <class T>
using vec = typename Vector<T>::type;
template <class T>
using mask = typename Vector<T>::mask;

template <class T>
ELMAN_INLINE vec<T> load(const T* p) {
    return *reinterpret_cast<const typename Vector<T>::loose*>(p);
}

template <class T>
ELMAN_INLINE void store(T* p, vec<T> v) {
    *reinterpret_cast<typename Vector<T>::loose*>(p) = v;
}

template <class T>
ELMAN_INLINE vec<T> broadcast(T x) {
    return x - vec<T>{};  // minus zero, not plus: keeps the sign of -0
}

// The first `count` lanes of memory, zero in the others; reads nothing past them.
template <class T>
ELMAN_INLINE vec<T> load_part(const T* p, int count) {
    vec<T> v{};
    for (int i = 0; i < Vector<T>::width; ++i)
        if (i < count) v[i] = p[i];
    return v;
}

// Writes the first `count` lanes, and nothing past them.
template <class T>
ELMAN_INLINE void store_part(T* p, vec<T> v, int count) {
    for (int i = 0; i < Vector<T>::width; ++i)
        if (i < count) p[i] = v[i];
}

template <class M, class V>
ELMAN_INLINE V select(M mask, V a, V b) {
    return mask ? a : b;
}

// Element i is a[index[i]], or b[index[i] - width] from `width` on.
template <class T>
ELMAN_INLINE vec<T> shuffle(vec<T> a, vec<T> b, mask<T> index) {
#if defined(__clang__)
    vec<T> v;
    for (int i = 0; i < Vector<T>::width; ++i) v[i] = index[i] < Vector<T>::width ? a[index[i]] : b[index[i] - Vector<T>::width];
    return v;
#else
    return __builtin_shuffle(a, b, index);
#endif
}

// The smaller and the larger; a NaN in either argument comes out, as in numpy.minimum and torch.minimum.
template <class V>
ELMAN_INLINE V vmin(V a, V b) {
    return select((a < b) | (a != a), a, b);
}

template <class V>
ELMAN_INLINE V vmax(V a, V b) {
    return select((a > b) | (a != a), a, b);
}

}  // namespace
}  // namespace elman
