// SPDX-License-Identifier: Apache-2.0
//
// Parts of decoding that instructions on memory share.

#pragma once

#include "Decode.h"
#include "MemoryAccess.h"

namespace ptxemu {

/// The state space; generic if there is none. Adds it to the instruction's class.
Space takeSpace(Decoding &d);
Order takeOrder(Decoding &d, Order otherwise);
Scope takeScope(Decoding &d, Scope otherwise);
/// Takes every cache hint; true if there is a cache-policy operand.
bool takeCacheHints(Decoding &d);
void takePolicyOperand(Decoding &d, bool policy, size_t index);

/// st.async and red.async (AsyncStores.cpp).
void decodeStoreAsync(Decoding &d);

} // namespace ptxemu
