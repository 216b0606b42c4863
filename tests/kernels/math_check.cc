// Measures math.h against libm and prints JSON: the largest error of each function in units in the last place, the
// values at special points, whether a NaN stays in its lane, and whether FlushToZero restores the
// control word. Numbers are hexadecimal strings, for infinity and NaN too.
//
// math_check STRIDE SAMPLES: float at every STRIDE-th bit pattern against double, double at SAMPLES random points
// against long double.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <limits>

#include "host/fpenv.h"
#include "isa/periodic.h"

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

#define ON_VECTOR(name)                                           \
    template <class T>                                            \
    void run_##name(const T* in, T* out) {                        \
        elman::store<T>(out, elman::name<T>(elman::load<T>(in))); \
    }
ON_VECTOR(exp)
ON_VECTOR(log)
ON_VECTOR(tanh)
ON_VECTOR(sigmoid)
ON_VECTOR(softplus)
ON_VECTOR(sqrt)
ON_VECTOR(abs)
ON_VECTOR(sin)
ON_VECTOR(cos)
ON_VECTOR(floor)
ON_VECTOR(round)

template <class T>
const Function<T> functions[] = {
    {"exp", run_exp<T>, std::exp, std::exp},
    {"log", run_log<T>, std::log, std::log},
    {"tanh", run_tanh<T>, std::tanh, std::tanh},
    {"sigmoid", run_sigmoid<T>, exact_sigmoid<long double>, exact_sigmoid<double>},
    {"softplus", run_softplus<T>, exact_softplus<long double>, exact_softplus<double>},
    {"sqrt", run_sqrt<T>, std::sqrt, std::sqrt},
    {"abs", run_abs<T>, std::fabs, std::fabs},
    {"sin", run_sin<T>, std::sin, std::sin},
    {"cos", run_cos<T>, std::cos, std::cos},
    {"floor", run_floor<T>, std::floor, std::floor},
    {"round", run_round<T>, std::nearbyint, std::nearbyint},
};

template <class T>
long double exact(const Function<T>& f, T x) {
    return sizeof(T) == 4 ? static_cast<long double>(f.fast_exact(x)) : f.exact(x);
}

// The distance from the exact value in units of T's last place there. Below the smallest normal number, zero will do.
template <class T>
double error(T got, long double want) {
    using limits = std::numeric_limits<T>;
    if (std::isnan(want)) return std::isnan(got) ? 0 : INFINITY;
    if (std::isinf(want)) return got == want ? 0 : INFINITY;
    if (std::fabs(want) < limits::min()) return std::fabs(got) <= limits::min() ? 0 : INFINITY;
    const long double last = std::ldexp(1.0L, std::min(std::ilogb(want) + 1, limits::max_exponent) - limits::digits);
    const long double past = std::ldexp(1.0L, limits::max_exponent);  // what an infinity was rounded from, at the least
    const long double shown = std::isinf(got) ? std::copysign(past, static_cast<long double>(got)) : got;
    if (std::isinf(got) && std::fabs(want) > past) return std::signbit(got) == std::signbit(want) ? 0 : INFINITY;
    return static_cast<double>(std::fabs(shown - want) / last);
}

struct Worst {
    double ulp = 0, at = 0;
};

template <class T>
void measure(const Function<T>& f, const T* in, Worst& worst) {
    constexpr int width = elman::Vector<T>::width;
    T out[width], flushed[width];
    f.run(in, out);
    {
        const elman::FlushToZero guard;
        f.run(in, flushed);
    }
    for (int i = 0; i < width; ++i) {
        const long double want = exact(f, in[i]);
        for (T got : {out[i], flushed[i]})
            if (const double e = error(got, want); !(e <= worst.ulp)) worst = {e, static_cast<double>(in[i])};
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
            const int any = static_cast<int>(state % 2045) - 1022, near = static_cast<int>(state % 72) - 60;
            const double size = std::ldexp(1 + std::ldexp(static_cast<double>(state >> 12), -52), n % 64 ? near : any);
            x = state >> 11 & 1 ? size : -size;
        }
        visit(in);
    }
}

template <class T>
void print_specials(const Function<T>& f) {
    using limits = std::numeric_limits<T>;
    const T edges[] = {limits::infinity(), limits::max(), limits::min(), limits::denorm_min(), 1e4, 1, 0};
    constexpr int width = elman::Vector<T>::width;
    std::printf("\"special\": {");
    const char* separator = "";
    for (T edge : edges)
        for (T x : {edge, -edge}) {
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
            const uint64_t quiet_nan = sizeof(T) == 4 ? 0x7fc00000u : 0x7ff8000000000000u;
            const word bits = static_cast<word>(payload | quiet_nan);
            std::memcpy(&in[lane], &bits, sizeof bits);
            f.run(in, out);
            in[lane] = before;
            for (int i = 0; i < width; ++i)
                if (i == lane ? !std::isnan(out[i]) : std::memcmp(&out[i], &clean[i], sizeof(T)) != 0) return false;
        }
    return true;
}

// The control word with its status flags; 0 where we know of none.
unsigned control_word() {
#if defined(__SSE__)
    return _mm_getcsr();
#else
    return 0;
#endif
}

// Whether subnormal numbers vanish under the guard and only there, and it leaves the control word as it was.
bool guard_restores() {
    volatile float smallest = std::numeric_limits<float>::min(), inside = 1;
    const unsigned before = control_word();
    {
        const elman::FlushToZero guard;
        inside = smallest / 2;
    }
    const bool same = control_word() == before;
    volatile float outside = smallest / 2;
    return same && inside == 0 && outside > 0;
}

template <class T, class Each>
void report(const char* type, uint64_t amount, Each each) {
    std::printf("\"%s\": {", type);
    const char* separator = "";
    for (const Function<T>& f : functions<T>) {
        Worst worst;
        each(amount, [&](const T* in) { measure(f, in, worst); });
        std::printf("%s\n\"%s\": {\"ulp\": \"%a\", \"at\": \"%a\", \"nan_stays\": %s, ", separator, f.name, worst.ulp,
                    worst.at, nan_stays_in_its_lane(f) ? "true" : "false");
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
    std::printf("{\"bytes\": %d, \"guard_restores\": %s, ", ELMAN_VECTOR_BYTES, guard_restores() ? "true" : "false");
    report<float>("float", stride, [](uint64_t n, auto visit) { each_float(n, visit); });
    std::printf(", ");
    report<double>("double", samples, [](uint64_t n, auto visit) { each_double(n, visit); });
    std::printf("}\n");
}
