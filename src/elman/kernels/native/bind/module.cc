// The extension elman.kernels._kernels. Memory crosses as addresses (values.h); elman.kernels is its typed door.
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind/common.h"
#include "host/bound.h"
#include "host/dispatch.h"
#include "host/workspace.h"

namespace nb = nanobind;

NB_MODULE(_kernels, m) {
    nb::set_leak_warnings(false);  // plans and engines live in caches until the process ends
    m.attr("OPERATIONS") = elman::operations();
    bind_values(m);
    bind_isas(m);
    bind_kernel(m);
    bind_ceilings(m);
    m.def("isa_error", &elman::isa_error);
    m.def("poison", &elman::poison);
    m.def("team", [] { return std::string(elman::team()); });
    m.def("default_threads", &elman::default_threads);
}
