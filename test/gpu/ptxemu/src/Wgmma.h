// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "Machine.h"

namespace ptxemu {

/// Checks of the operands that a warpgroup has gathered since its last commit.
void flushChecks(Warp &warp);

} // namespace ptxemu
