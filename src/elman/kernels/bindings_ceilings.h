// Adds the machine's ceilings to the module.
#pragma once

#include <nanobind/nanobind.h>

void bind_ceilings(nanobind::module_& m);
