// SPDX-License-Identifier: Apache-2.0
//
// The dialects and passes of every compiler tool, in one place.

#ifndef MSA_TOOLS_REGISTERALL_H
#define MSA_TOOLS_REGISTERALL_H

#include "mlir/IR/DialectRegistry.h"

namespace msa {

/// Every dialect and extension of this project and of MLIR.
void registerAllDialects(mlir::DialectRegistry &registry);

/// Every pass of this project and of MLIR. Once per process.
void registerAllPasses();

} // namespace msa

#endif // MSA_TOOLS_REGISTERALL_H
