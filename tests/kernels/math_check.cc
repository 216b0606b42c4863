// Measures math.h against libm and prints JSON: the largest error of each function in units in the last place, the values at
// special points (as hexadecimal), and whether a NaN stays in its lane.
//
// math_check STRIDE SAMPLES: float at every STRIDE-th bit pattern against double, double at SAMPLES random points against long double.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <limits>

#include "fpenv.h"
#include "math.h"

namespace {

template <class T>
struct Function {
    const char* name;
    void (*run)(const T* in, T* out);  // one vector
    long double (*exact)(long double);
    double (*fast_exact)(double);
};

template <class R>
R exact_sigmoid(R x) {
    return 1 / (1 + std::exp(-x));
}

template <class R>
R exact_softplus(R x) {
    return std::fmax(x, R(0)) + std::log1p(std::exp(-std::fabs(x)));
}

#define ON_VECTOR(name)                                                             \
    template <class T>                                                              \
    void run_##name(const T* in, T* out) {                                          \
        elman::store<T>(out, elman::name<T>(elman::load<T>(in)));                   \
    }
ON_VECTOR(exp)
ON_VECTOR(log)
ON_VECTOR(tanh)
ON_VECTOR(sigmoid)
ON_VECTOR(softplus)
ON_VECTOR(sqrt)
ON_VECTOR(abs)

template <class T>
const Function<T> functions[] = {
    {"exp", run_exp<T>, std::exp, std::exp},
    {"log", run_log<T>, std::log, std::log},
    {"tanh", run_tanh<T>, std::tanh, std::tanh},
    {"sigmoid", run_sigmoid<T>, exact_sigmoid<long double>, exact_sigmoid<double>},
    {"softplus", run_softplus<T>, exact_softplus<long double>, exact_softplus<double>},
    {"sqrt", run_sqrt<T>, std::sqrt, std::sqrt},
    {"abs", run_abs<T>, std::fabs, std::fabs},
};

template <class T>
long double exact(const Function<T>& f, T x) {
    return sizeof(T) == 4 ? static_cast<long double>(f.fast_exact(x)) : f.exact(x);
}

// The distance from the exact value in units of T's last place there. Below the smallest normal number, zero is as good.
template <class T>
double error(T got, long double want) {
    using limits = std::numeric_limits<T>;
    if (std::isnan(want)) return std::isnan(got) ? 0 : INFINITY;
    if (std::fabs(want) > limits::max()) {
        const long double last = std::ldexp(1.0L, limits::max_exponent - limits::digits);
        const bool rounds_down = std::isfinite(want) && std::fabs(want) <= limits::max() + 4 * last;
        return got == (want > 0 ? INFINITY : -INFINITY) || (rounds_down && std::fabs(got) == limits::max()) ? 0 : INFINITY;
    }
    if (std::fabs(want) < limits::min()) return std::fabs(got) <= limits::min() ? 0 : INFINITY;
    if (!std::isfinite(got)) return std::fabs(want) > limits::max() * (1 - 4 * limits::epsilon()) ? 0 : INFINITY;
    const int exponent = std::ilogb(want);
    return static_cast<double>(std::fabs(got - want) / std::ldexp(1.0L, exponent - (limits::digits - 1)));
}

struct Worst {
    double ulp = 0, at = 0;
};

template <class T>
void measure(const Function<T>& f, const T* in, Worst& worst) {
    constexpr int width = elman::Vector<T>::width;
    T out[width];
    f.run(in, out);
    for (int i = 0; i < width; ++i) {
        const double e = error(out[i], exact(f, in[i]));
        if (!(e <= worst.ulp)) worst = {e, static_cast<double>(in[i])};
    }
}

// Calls visit with full vectors of float inputs: every stride-th bit pattern but the subnormal ones.
template <class Visit>
void each_float(uint64_t stride, Visit visit) {
    constexpr int width = elman::Vector<float>::width;
    float in[width];
    int filled = 0;
    for (uint64_t pattern = 0; pattern <= UINT32_MAX; pattern += stride) {
        const uint32_t bits = static_cast<uint32_t>(pattern);
        std::memcpy(&in[filled], &bits, sizeof bits);
        filled += std::fpclassify(in[filled]) != FP_SUBNORMAL;
        if (filled == width) visit(in), filled = 0;
    }
}

// Random mantissas and signs; exponents from those that vanish beside one up to those that overflow.
template <class Visit>
void each_double(uint64_t samples, Visit visit) {
    constexpr int width = elman::Vector<double>::width;
    uint64_t state = 88172645463325252u;  // xorshift64: Marsaglia 2003
    double in[width];
    for (uint64_t n = 0; n < samples; n += width) {
        for (double& x : in) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            const int exponent = n % 8 == 0 ? static_cast<int>(state % 2045) - 1022 : static_cast<int>(state % 72) - 60;
            x = std::ldexp(1 + std::ldexp(static_cast<double>(state >> 12), -52), exponent) * (state >> 11 & 1 ? 1 : -1);
        }
        visit(in);
    }
}

template <class T>
void print_specials(const Function<T>& f) {
    using limits = std::numeric_limits<T>;
    const T points[] = {0, T(-0.0), 1, -1, limits::infinity(), -limits::infinity(), limits::quiet_NaN(), limits::max(), -limits::max(),
                        limits::min(), -limits::min(), 1e4, -1e4, limits::denorm_min()};
    constexpr int width = elman::Vector<T>::width;
    std::printf("\"special\": {");
    const char* separator = "";
    for (T x : points) {
        T in[width], out[width];
        for (T& lane : in) lane = x;
        f.run(in, out);
        std::printf("%s\"%a\": \"%a\"", separator, static_cast<double>(x), static_cast<double>(out[width - 1]));
        separator = ", ";
    }
    std::printf("}");
}

template <class T>
bool nan_stays_in_its_lane(const Function<T>& f) {
    constexpr int width = elman::Vector<T>::width;
    T in[width], clean[width], out[width];
    for (int i = 0; i < width; ++i) in[i] = T(0.25) + T(i);
    f.run(in, clean);
    for (int lane = 0; lane < width; ++lane)
        for (uint64_t payload : {0u, 1u, 0x155u, 0x3fffffu}) {
            const T before = in[lane];
            using word = typename elman::Format<T>::word;
            const word bits = static_cast<word>(payload) | (sizeof(T) == 4 ? word(0x7fc00000u) : static_cast<word>(0x7ff8000000000000u));
            std::memcpy(&in[lane], &bits, sizeof bits);
            f.run(in, out);
            in[lane] = before;
            for (int i = 0; i < width; ++i)
                if (i == lane ? !std::isnan(out[i]) : std::memcmp(&out[i], &clean[i], sizeof(T)) != 0) return false;
        }
    return true;
}

template <class T, class Each>
void report(const char* type, uint64_t amount, Each each) {
    std::printf("\"%s\": {", type);
    const char* separator = "";
    for (const Function<T>& f : functions<T>) {
        Worst worst;
        each(amount, [&](const T* in) { measure(f, in, worst); });
        std::printf("%s\n\"%s\": {\"ulp\": %.3f, \"at\": \"%a\", \"nan_stays\": %s, ", separator, f.name, worst.ulp, worst.at,
                    nan_stays_in_its_lane(f) ? "true" : "false");
        print_specials(f);
        std::printf("}");
        separator = ",";
    }
    std::printf("}");
}

}  // namespace

int main(int argc, char** argv) {
    const uint64_t stride = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1009;
    const uint64_t samples = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 200000;
    std::printf("{\"bytes\": %d, ", ELMAN_VECTOR_BYTES);
    report<float>("float", stride, [](uint64_t n, auto visit) { each_float(n, visit); });
    std::printf(", ");
    report<double>("double", samples, [](uint64_t n, auto visit) { each_double(n, visit); });
    std::printf("}\n");
}
