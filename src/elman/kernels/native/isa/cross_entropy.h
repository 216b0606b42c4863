// Softmax, its loss and its gradient, on rows of logits that lie in memory. Rows are split over threads; a row is read by one
// thread, in vectors ascending, so that its bits depend on nothing but the row.
#pragma once

#include "isa/interpret.h"
#include "isa/loss.h"
#include "isa/tile.h"

namespace elman {
namespace {

// Whole vectors: what lies behind the last element is filled so that it counts for nothing.
template <class T>
struct Padded {
    T* row;
    int size;
    void fill(T value) const {
        for (int u = size; u % Vector<T>::width; ++u) row[u] = value;
    }
    template <class F>
    ELMAN_INLINE void each(F f) const {
        for (int u = 0; u < size; u += Vector<T>::width) f(row + u, load<T>(row + u));
    }
};

template <class T>
ELMAN_INLINE T largest_of(vec<T> v) {
    T found = v[0];
    for (int i = 1; i < Vector<T>::width; ++i) found = v[i] > found || v[i] != v[i] ? v[i] : found;
    return found;
}

template <class T>
ELMAN_INLINE T total_of(vec<T> v) {
    alignas(64) T lanes[Vector<T>::width];
    store<T>(lanes, v);
    return reduced<T, kSum>(lanes);
}

template <class T>
ELMAN_INLINE T log_of(T x) {
    return log<T>(broadcast<T>(x))[0];
}

template <class T>
void cross_entropy_row(const CrossEntropy<T>& c, int64_t n) {
    T* row = c.logits + n * c.stride;
    const int64_t target = c.targets[n];
    if (target == c.ignored) {
        c.losses[n] = 0;
        if (c.scales) __builtin_memset(row, 0, sizeof(T) * static_cast<size_t>(c.size));
        return;
    }
    const Padded<T> padded{row, c.size};
    const T low = -Constants<T>::infinity;
    vec<T> largest = broadcast<T>(low), sum{}, differences{};
    padded.fill(low);
    padded.each([&](T*, vec<T> z) { largest = vmax(largest, z); });
    const T most = largest_of<T>(largest), at_target = row[target] - most;
    if (c.smoothing != 0) {
        padded.fill(most);
        padded.each([&](T*, vec<T> z) { differences += z - most; });
        padded.fill(low);
    }
    padded.each([&](T* to, vec<T> z) {
        const vec<T> e = exp<T>(z - most);
        sum += e;
        store<T>(to, e);
    });
    const T total = total_of<T>(sum), spread = c.smoothing / static_cast<T>(c.size);
    T loss = log_of<T>(total) - (1 - c.smoothing) * at_target;
    if (c.smoothing != 0) loss -= spread * total_of<T>(differences);
    c.losses[n] = loss;
    if (!c.scales) return;
    const T scale = c.scales[n], rate = scale / total, floor = scale * spread;
    padded.each([&](T* to, vec<T> e) { store<T>(to, e * rate - floor); });
    row[target] -= scale * (1 - c.smoothing);
}

template <class T>
void cross_entropy(const CrossEntropy<T>& c, int index, int count) {
    for (int64_t n = share(c.rows, count, index); n < share(c.rows, count, index + 1); ++n) cross_entropy_row(c, n);
}

}  // namespace
}  // namespace elman
