#include "host/panels.h"

#include <algorithm>
#include <stdexcept>

#include "host/threads.h"

namespace elman {

template <class T>
Panels::Panels(const BoundProgram& bound, const std::vector<MatrixView<T>>& views, int threads) {
    struct Part {
        const Phase* phase;
        const Link* link;
        const MatrixView<T>* views;
        char* memory;
    };
    const auto& isa = bound.functions<T>();
    std::vector<Part> parts;
    std::vector<size_t> offsets;
    size_t total = 0, products = 0;
    for (int32_t k = 0; k < bound.program.phases; ++k) {
        const Phase& phase = bound.program.phase[k];
        for (int32_t l = 0; l < phase.links; ++l) {
            parts.push_back({&phase, &phase.link[l], views.data() + products, nullptr});
            offsets.push_back(total);
            total += (isa.panel_bytes(phase, phase.link[l]) + 63) / 64 * 64;
            products += phase.link[l].products;
        }
    }
    if (products != views.size()) throw std::invalid_argument("panels: one view is needed for each product");
    memory_ = std::make_unique<Aligned>(total);
    for (size_t i = 0; i < parts.size(); ++i) panels_.push_back(parts[i].memory = memory_->memory + offsets[i]);
    struct Work {
        const std::vector<Part>& parts;
        const IsaFunctions<T>& isa;
    } work{parts, isa};
    constexpr size_t kWorthAThread = 1 << 17;  // bytes
    parallel(
        static_cast<int>(std::min<size_t>(threads, total / kWorthAThread + 1)),
        [](void* context, int index, int count) {
            const Work& w = *static_cast<Work*>(context);
            for (const Part& part : w.parts) w.isa.pack(*part.phase, *part.link, part.views, part.memory, index, count);
        },
        &work);
}

template Panels::Panels(const BoundProgram&, const std::vector<MatrixView<float>>&, int);
template Panels::Panels(const BoundProgram&, const std::vector<MatrixView<double>>&, int);

}  // namespace elman
