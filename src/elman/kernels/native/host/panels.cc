#include "host/panels.h"

#include <limits>
#include <new>
#include <stdexcept>

#include "host/threads.h"

namespace elman {

template <class T>
Panels::Panels(const BoundProgram& bound, const std::vector<MatrixView<T>>& views, int threads)
    : functions_(&bound.functions<T>()), bytes_(bound.panel_bytes) {
    struct Part {
        const Phase* phase;
        const Link* link;
        const MatrixView<T>* views;
        char* memory;
    };
    const auto& isa = bound.functions<T>();
    if (views.size() != static_cast<size_t>(bound.products)) throw std::invalid_argument("panels: one view is needed for each product");
    std::vector<Part> parts;
    std::vector<size_t> offsets;
    size_t total = 0, products = 0;
    for (int32_t k = 0; k < bound.program.phases; ++k) {
        const Phase& phase = bound.program.phase[k];
        for (int32_t l = 0; l < phase.links; ++l) {
            parts.push_back({&phase, &phase.link[l], views.data() + products, nullptr});
            offsets.push_back(total);
            total += (bytes_[parts.size() - 1] + 63) / 64 * 64;
            products += phase.link[l].products;
            if (total > std::numeric_limits<size_t>::max() / 4) throw std::bad_alloc();
        }
    }
    memory_ = std::make_unique<Aligned>(total);
    for (size_t i = 0; i < parts.size(); ++i) panels_.push_back(parts[i].memory = memory_->memory + offsets[i]);
    struct Work {
        const std::vector<Part>& parts;
        const IsaFunctions<T>& isa;
    } work{parts, isa};
    parallel(
        team_for(static_cast<double>(total), threads),
        [](void* context, int index, int count) {
            const Work& w = *static_cast<Work*>(context);
            for (const Part& part : w.parts) w.isa.pack(*part.phase, *part.link, part.views, part.memory, index, count);
        },
        &work);
}

template Panels::Panels(const BoundProgram&, const std::vector<MatrixView<float>>&, int);
template Panels::Panels(const BoundProgram&, const std::vector<MatrixView<double>>&, int);

}  // namespace elman
