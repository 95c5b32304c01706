// SPDX-License-Identifier: Apache-2.0
//
// Modules, functions, tensor maps and launches, on the emulator.

#include "Stream.h"

#include <cstdio>

using namespace standin;

namespace {

constexpr unsigned kSharedWithoutAsking = 48 << 10;

struct Function {
  std::shared_ptr<const ptxemu::Module> module;
  const ptxemu::Kernel *kernel = nullptr;
  unsigned dynamicShared = kSharedWithoutAsking; // most that a launch may ask for
};

struct LoadedModule {
  std::shared_ptr<const ptxemu::Module> module;
  std::map<std::string, std::unique_ptr<Function>> functions;
};

void writeLog(unsigned count, const CUjit_option *options, void **values, CUjit_option buffer, CUjit_option size, const std::string &text) {
  char *to = nullptr;
  size_t room = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (options[i] == buffer)
      to = static_cast<char *>(values[i]);
    if (options[i] == size)
      room = size_t(reinterpret_cast<uintptr_t>(values[i]));
  }
  if (to && room)
    std::snprintf(to, room, "%s", text.c_str());
}

/// Whether a device runs the PTX of a target: sm_90a there and nowhere else, sm_80 there and on everything newer.
bool runs(const Device &device, const ptxemu::Module &module) {
  int wanted = module.computeCapability(), found = device.configuration.major * 10 + device.configuration.minor;
  return module.target().back() == 'a' ? wanted == found : wanted <= found;
}

std::string shape(const ptxemu::Dim3 &dim) {
  return "[" + std::to_string(dim.x) + ", " + std::to_string(dim.y) + ", " + std::to_string(dim.z) + "]";
}

/// Our kernels give the same results in any grid: this one is as many times smaller as was asked for, clusters whole.
ptxemu::Dim3 shrunk(const Device &device, ptxemu::Dim3 grid, ptxemu::Dim3 cluster) {
  auto less = [&](uint32_t count, uint32_t whole) {
    uint64_t divisor = device.configuration.gridDivisor, unit = std::max(whole, 1u);
    return static_cast<uint32_t>(((count + divisor - 1) / divisor + unit - 1) / unit * unit);
  };
  return {less(grid.x, cluster.x), less(grid.y, cluster.y), less(grid.z, cluster.z)};
}

CUresult launch(CUfunction handle, ptxemu::Dim3 grid, ptxemu::Dim3 block, ptxemu::Dim3 cluster, unsigned shared, CUstream stream,
                void **parameters, void **extra) {
  return call("cuLaunchKernel", true, [&](Device &device) -> CUresult {
    auto &function = *reinterpret_cast<Function *>(handle);
    const ptxemu::Kernel &kernel = *function.kernel;
    if (extra || (!parameters && !kernel.parameters.empty()))
      throw std::runtime_error("expected parameters by pointers");
    if (!grid.count() || !block.count() || block.count() > 1024 || grid.y > 65535 || grid.z > 65535 || grid.x > unsigned(INT32_MAX))
      throw std::runtime_error("'" + kernel.name + "': grid " + shape(grid) + ", blocks " + shape(block) + ": out of range");
    if (shared > function.dynamicShared)
      throw std::runtime_error("'" + kernel.name + "': " + std::to_string(shared) + " bytes of dynamic shared memory, allowed are " +
                               std::to_string(function.dynamicShared));
    ptxemu::Launch what;
    what.kernel = kernel.name;
    what.grid = shrunk(device, grid, cluster);
    what.block = block;
    what.cluster = cluster;
    what.dynamicSharedBytes = shared;
    what.parameters = kernel.packPointers(std::span(parameters, kernel.parameters.size()));
    return enqueue(device, stream, {Operation::Kind::Kernel, &function, [module = function.module, what](Device &device) -> CUresult {
                                      ++device.launchCount;
                                      ptxemu::Options options = device.configuration.options;
                                      options.seed += device.launchCount;
                                      ptxemu::Result result = ptxemu::launch(*module, device.memory, what, options);
                                      std::string where = "'" + what.kernel + "' grid " + shape(what.grid) + " block " + shape(what.block);
                                      if (device.configuration.trace) {
                                        char figures[96];
                                        std::snprintf(figures, sizeof(figures), ": %.3f s, %llu warp instructions", result.seconds,
                                                      static_cast<unsigned long long>(result.stats.warpInstructions));
                                        complain(where + figures);
                                      }
                                      if (!result.errors.empty() || !result.warnings.empty())
                                        complain("launch " + std::to_string(device.launchCount) + ", " + where + ":\n" + result.text());
                                      bool failed = !result.ok() || (device.configuration.warningsAreErrors && !result.warnings.empty());
                                      return failed ? CUDA_ERROR_LAUNCH_FAILED : CUDA_SUCCESS;
                                    }});
  });
}

} // namespace

STANDIN_EXPORT CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned count, CUjit_option *options, void **values) {
  return callOutsideRecording("cuModuleLoadDataEx", [&](Device &device) -> CUresult {
    auto *text = static_cast<const char *>(image);
    writeLog(count, options, values, CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, "");
    writeLog(count, options, values, CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, "");
    if (std::memcmp(text, "\177ELF", 4) == 0)
      return CUDA_ERROR_NO_BINARY_FOR_GPU; // machine code is for a machine
    auto loaded = std::make_unique<LoadedModule>();
    try {
      loaded->module = ptxemu::Module::parse(text);
    } catch (const ptxemu::Error &error) {
      writeLog(count, options, values, CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, error.what());
      return CUDA_ERROR_INVALID_PTX;
    }
    if (!runs(device, *loaded->module)) {
      writeLog(count, options, values, CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
               "the target " + loaded->module->target() + " is not the device's");
      return CUDA_ERROR_NO_BINARY_FOR_GPU;
    }
    device.memory.load(*loaded->module);
    *module = reinterpret_cast<CUmodule>(loaded.release());
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuModuleUnload(CUmodule handle) {
  return callToRelease("cuModuleUnload", [&](Device &device) -> CUresult {
    std::unique_ptr<LoadedModule> module(reinterpret_cast<LoadedModule *>(handle));
    device.memory.unload(*module->module);
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuModuleGetFunction(CUfunction *function, CUmodule handle, const char *name) {
  return call("cuModuleGetFunction", true, [&](Device &) -> CUresult {
    auto &module = *reinterpret_cast<LoadedModule *>(handle);
    const ptxemu::Kernel *kernel = module.module->find(name);
    if (!kernel)
      return CUDA_ERROR_NOT_FOUND;
    std::unique_ptr<Function> &made = module.functions[name];
    if (!made) {
      made = std::make_unique<Function>();
      made->module = module.module;
      made->kernel = kernel;
    }
    *function = reinterpret_cast<CUfunction>(made.get());
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction handle) {
  return call("cuFuncGetAttribute", true, [&](Device &) -> CUresult {
    auto &function = *reinterpret_cast<Function *>(handle);
    switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: {
      uint64_t most = function.kernel->requiredThreads.count() ? function.kernel->requiredThreads.count()
                      : function.kernel->maximumThreads.count() ? function.kernel->maximumThreads.count()
                                                                : 1024;
      *value = int(most);
      return CUDA_SUCCESS;
    }
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      *value = int(function.kernel->staticSharedBytes);
      return CUDA_SUCCESS;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      *value = int(function.dynamicShared);
      return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
  });
}

STANDIN_EXPORT CUresult cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute, int value) {
  return call("cuFuncSetAttribute", true, [&](Device &) -> CUresult {
    auto &function = *reinterpret_cast<Function *>(handle);
    if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 ||
        unsigned(value) + function.kernel->staticSharedBytes > function.module->sharedBytesLimit())
      return CUDA_ERROR_INVALID_VALUE;
    function.dynamicShared = unsigned(value);
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY,
                                       unsigned blockZ, unsigned shared, CUstream stream, void **parameters, void **extra) {
  return launch(function, {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, {0, 0, 0}, shared, stream, parameters, extra);
}

STANDIN_EXPORT CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **parameters, void **extra) {
  ptxemu::Dim3 cluster{0, 0, 0};
  for (unsigned i = 0; i < config->numAttrs; ++i) {
    if (config->attrs[i].id != CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
      complain("cuLaunchKernelEx: attribute " + std::to_string(config->attrs[i].id) + " is unknown");
      return CUDA_ERROR_INVALID_VALUE;
    }
    const auto &dim = config->attrs[i].value.clusterDim;
    cluster = {dim.x, dim.y, dim.z};
  }
  return launch(function, {config->gridDimX, config->gridDimY, config->gridDimZ}, {config->blockDimX, config->blockDimY, config->blockDimZ},
                cluster, config->sharedMemBytes, config->hStream, parameters, extra);
}

STANDIN_EXPORT CUresult cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, uint32_t rank, void *address,
                                               const uint64_t *dims, const uint64_t *strides, const uint32_t *box, const uint32_t *steps,
                                               CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                               CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill) {
  return call("cuTensorMapEncodeTiled", false, [&](Device &) -> CUresult {
    ptxemu::TensorMap made;
    std::string problem = ptxemu::encodeTensorMap(made, ptxemu::TensorMapType(type), rank, reinterpret_cast<uint64_t>(address), dims, strides,
                                                  box, steps, uint32_t(interleave), ptxemu::TensorMapSwizzle(swizzle), uint32_t(promotion),
                                                  uint32_t(fill));
    if (!problem.empty()) {
      complain("cuTensorMapEncodeTiled: " + problem);
      return CUDA_ERROR_INVALID_VALUE;
    }
    static_assert(sizeof(made) == sizeof(*map));
    std::memcpy(map, &made, sizeof(made));
    return CUDA_SUCCESS;
  });
}
