// SPDX-License-Identifier: Apache-2.0
//
// A program on a CUDA device: its module, the functions of its launches, its constants. Made when the program is loaded; immutable,
// thread-safe.

#ifndef MSA_RUNTIME_CUDA_LOADED_PROGRAM_H
#define MSA_RUNTIME_CUDA_LOADED_PROGRAM_H

#include "runtime/cuda/device.h"
#include "runtime/program.h"

namespace msa::rt::cuda {

class LoadedProgram {
public:
  LoadedProgram(msa_program *program, Device *device)
      : program(program), device(*device), functions(program->allocator), constants(program->allocator), blocks(program->allocator) {}
  ~LoadedProgram();
  LoadedProgram(const LoadedProgram &) = delete;

  /// Module and functions of GPU variant |variant|. Null: the program has no kernels.
  Status loadModule(const GpuVariant *variant);
  Status uploadConstants();

  const GpuKernel &kernel(uint32_t index) const { return program->gpu.kernels[firstKernel + index]; }

  msa_program *const program; // that owns it
  Device &device;
  Vector<CUfunction> functions;   // of GpuTables::launches; null for those of other variants
  Vector<CUdeviceptr> constants;  // of msa_program::constants
  bool synchronous = false;
  bool graphs = false;
  msa_placement content = MSA_PLACEMENT_DEVICE;

private:
  Status loadImage(const GpuVariant &variant);
  Status loadPtx(uint32_t segment);
  Status copySegment(uint32_t index, uint8_t **bytes) const;
  Status findFunctions(const GpuVariant &variant);
  Status prepareFunction(uint32_t index);

  CUmodule module = nullptr;
  uint32_t firstKernel = 0;
  Vector<CUdeviceptr> blocks; // that constants lie in, by segment; 0 where it has none
};

/// Puts |program| on the device that |options| ask for: chooses the variant, loads it, uploads constants. Codes: MSA_UNSUPPORTED (no
/// such device or no variant for it), MSA_NOT_FOUND, MSA_INVALID_ARTIFACT, MSA_OUT_OF_MEMORY, MSA_DEVICE_FAILED.
Status loadProgram(msa_program *program, const msa_program_options &options);

} // namespace msa::rt::cuda

#endif // MSA_RUNTIME_CUDA_LOADED_PROGRAM_H
