// The instruction set in use: the widest that was compiled in and that processor and operating system run, unless
// ELMAN_ISA or a call names another.
#pragma once

#include <string>
#include <vector>

#include "isa/isa.h"

namespace elman {

// The tables that can run here, narrowest first; never empty.
const std::vector<const IsaTable*>& available_isas();

// The one in use. At first: the one that ELMAN_ISA names, else the widest.
const IsaTable& isa();

// Uses the named one from now on, or the widest if `name` is empty. Returns "" or, having changed nothing, what is
// wrong and what is available. Not to be called while kernels run.
std::string select_isa(const std::string& name);

// What is wrong with ELMAN_ISA, or "": isa() cannot raise, so the binding asks when it is loaded.
std::string isa_error();

}  // namespace elman
