// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "Decode.h"
#include "Machine.h"

namespace ptxemu {

/// cp.async, its groups and its mbarrier arrivals.
void decodeLaneCopy(Decoding &d);
void decodeLaneCommit(Decoding &d);
void decodeLaneWait(Decoding &d, bool all);
void decodeLaneArrival(Decoding &d);

/// The copies that an arrival waits for have landed.
void performLaneArrival(Cluster &cluster, const PendingCopy &copy);

} // namespace ptxemu
