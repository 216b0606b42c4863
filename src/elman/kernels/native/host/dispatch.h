// The instruction sets: those that were compiled in and that processor and operating system run.
#pragma once

#include <string>
#include <vector>

#include "isa/isa.h"

namespace elman {

// The tables that can run here, narrowest first; never empty.
const std::vector<const IsaTable*>& available_isas();

// The one to use where nobody asks for another: that which ELMAN_ISA names, else the widest. It never changes.
const IsaTable& default_isa();

// What is wrong with ELMAN_ISA, or "": default_isa() cannot raise, so the binding asks when it is loaded.
std::string isa_error();

}  // namespace elman
