// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "Parser.h"

namespace ptxemu {

/// Decodes a kernel and every function that it calls into `code`. Throws Error.
Kernel buildKernel(const ModuleParser &module, int function, Code &code);

} // namespace ptxemu
