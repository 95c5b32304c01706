// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "Machine.h"

namespace ptxemu {

/// After lanes have exited: barriers that waited for them alone are complete.
void recheckBarriers(Warp &warp);

} // namespace ptxemu
