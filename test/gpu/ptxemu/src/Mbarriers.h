// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "Decode.h"
#include "Machine.h"

namespace ptxemu {

/// Index of the valid mbarrier at an address, else -1 with a report. Checks that the caller knows of its initialisation.
int findMbarrier(Warp &warp, uint64_t address, uint32_t lane);
/// The mbarrier at the same offset in another CTA of the cluster.
int findMbarrier(Warp &warp, SharedPlace place, uint32_t lane);

/// A copy has moved its bytes.
void completeTransactions(Cluster &cluster, int mbarrier, uint32_t bytes);
/// Arrivals with all that `knowledge` holds.
void arrive(Cluster &cluster, Mbarrier &mbarrier, uint32_t count, const Clock &knowledge);
/// Completes the phase if nothing is missing.
void finishPhase(Cluster &cluster, Mbarrier &mbarrier);
/// Reports that the mbarrier is not yet visible to copies.
void requireFenced(Warp &warp, const Mbarrier &mbarrier, uint32_t lane);

} // namespace ptxemu
