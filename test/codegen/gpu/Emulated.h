// SPDX-License-Identifier: Apache-2.0
//
// From what the compiler makes (launches, PTX) to what test/gpu/cases runs.

#pragma once

#include "Case.h"
#include "codegen/gpu/Instances.h"

namespace emulated {

/// A compiled instance as cases take it: what its description says, read back. Throws std::runtime_error.
cases::Instance instanceOf(const msa::gpu::Instance &instance, llvm::ArrayRef<msa::gpu::Launch> launches, std::string ptx);
/// The same for launches of no instance of the table: there are no parameters.
cases::Instance instanceOf(llvm::ArrayRef<msa::gpu::Launch> launches, std::string ptx, msa::gpu::GPUTarget target);
/// Emits and compiles an instance of the table.
cases::Instance compile(mlir::MLIRContext &context, const msa::gpu::Instance &instance);

/// Memory that holds at least a byte. Read-only memory is filled with `bytes`.
uint64_t input(cases::EmulatorDevice &device, const void *bytes, size_t size, const char *label);
uint64_t output(cases::EmulatorDevice &device, size_t size, const char *label);

/// Runs the launches of `instance`, with a workspace where they want one. Throws std::runtime_error with the emulator's reports, warnings included.
void run(cases::EmulatorDevice &device, const cases::Instance &instance, cases::Arguments arguments);

} // namespace emulated
