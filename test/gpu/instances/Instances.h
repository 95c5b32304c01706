// SPDX-License-Identifier: Apache-2.0
//
// The instances of the GPU templates that test/gpu looks at: as PTX, with everything that cases (test/gpu/cases) need to know.

#pragma once

#include "codegen/gpu/Launch.h"
#include "mlir/IR/BuiltinOps.h"

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace instances {

/// One instance, not yet compiled.
struct Entry {
  std::string name, family;
  int sm = 90;
  nlohmann::json parameters;
  /// Adds its functions to a module.
  std::function<llvm::Expected<std::vector<msa::gpu::Launch>>(mlir::ModuleOp)> emit;
};

void addGemm(std::vector<Entry> &entries);
void addRoute(std::vector<Entry> &entries);
void addAttend(std::vector<Entry> &entries);
void addMoves(std::vector<Entry> &entries);
/// Products and attention of the shapes that are timed beside others' libraries; the rest is timed as it is.
void addTimedGemm(std::vector<Entry> &entries);
void addTimedAttend(std::vector<Entry> &entries);

/// The program: see main.cpp.
int run(int argc, char **argv);

} // namespace instances
