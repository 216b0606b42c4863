// Checks vector.h: tails touch what they should and nothing else, min and max pass a NaN on, and -0 keeps its sign.
// Exits with 0, or prints what did not hold.
#include "isa/vector.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace {

#define CHECK(holds)                                      \
    do {                                                  \
        if (!(holds)) {                                   \
            std::printf("line %d: %s\n", __LINE__, #holds); \
            std::exit(1);                                 \
        }                                                 \
    } while (false)

// Addresses one element off alignment; a margin on both sides.
template <class T>
void check_tails() {
    constexpr int width = elman::Vector<T>::width, size = width + 2;
    for (int count = 0; count <= width; ++count) {
        T from[size], to[size];
        for (int i = 0; i < size; ++i) from[i] = T(i + 1), to[i] = T(-1);
        const elman::vec<T> part = elman::load_part<T>(from + 1, count);
        for (int i = 0; i < width; ++i) CHECK(part[i] == (i < count ? from[i + 1] : T(0)));
        elman::store_part<T>(to + 1, elman::load<T>(from + 1), count);
        for (int i = 0; i < size; ++i) CHECK(to[i] == (i >= 1 && i <= count ? from[i] : T(-1)));
    }
}

template <class T>
void check_lanes() {
    const T nan = T(NAN);
    const struct {
        T a, b, least, most;
    } cases[] = {{1, 2, 1, 2},       {2, 1, 1, 2},       {-3, -3, -3, -3},
                 {nan, 1, nan, nan}, {1, nan, nan, nan}, {nan, nan, nan, nan}};
    const auto same = [](T x, T y) { return x == y || (std::isnan(x) && std::isnan(y)); };
    for (const auto& c : cases) {
        const elman::vec<T> a = elman::broadcast<T>(c.a), b = elman::broadcast<T>(c.b);
        const elman::vec<T> least = elman::vmin(a, b), most = elman::vmax(a, b), chosen = elman::select(a < b, a, b);
        for (int i = 0; i < elman::Vector<T>::width; ++i) {
            CHECK(same(least[i], c.least) && same(most[i], c.most));
            CHECK(same(chosen[i], c.a < c.b ? c.a : c.b));
        }
    }
    CHECK(std::signbit(elman::broadcast<T>(T(-0.0))[0]));
}

}  // namespace

int main() {
    check_tails<float>();
    check_tails<double>();
    check_lanes<float>();
    check_lanes<double>();
}
