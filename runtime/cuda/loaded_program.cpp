// SPDX-License-Identifier: Apache-2.0

#include "runtime/cuda/loaded_program.h"

#include "runtime/artifact_file.h"
#include "runtime/gpu_variant.h"
#include "runtime/schema/msa_artifact_generated.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace msa::rt::cuda {

namespace {

constexpr size_t kLogBytes = 4096;
// Functions that want more dynamic shared memory must say so first.
constexpr uint32_t kSharedWithoutAsking = 48 << 10;
constexpr uint64_t kUploadBytes = uint64_t(64) << 20;

template <typename T> uint32_t length(const T *vector) { return vector ? vector->size() : 0; }

/// "'cuda:sm_90', 'x86-64-v3'"
void variantNames(const schema::Program *root, char *text, size_t size) {
  size_t used = 0;
  text[0] = 0;
  for (uint32_t i = 0; i < length(root->variants()) && used + 1 < size; ++i) {
    int written = std::snprintf(text + used, size - used, "%s'%s'", i ? ", " : "", root->variants()->Get(i)->name()->c_str());
    used += written < 0 ? 0 : size_t(written);
  }
  if (text[0] == 0)
    std::snprintf(text, size, "nothing");
}

bool hasCpuVariant(const schema::Program *root) {
  for (uint32_t i = 0; i < length(root->variants()); ++i)
    if (!isGpuVariant(root->variants()->Get(i)->name()->c_str()))
      return true;
  return false;
}

/// The log of the driver's compiler in one line.
void joinLines(char *text) {
  size_t size = std::strlen(text);
  while (size && (text[size - 1] == '\n' || text[size - 1] == ' '))
    text[--size] = 0;
  for (char *at = text; *at; ++at)
    if (*at == '\n' || *at == '\r' || *at == '\t')
      *at = ' ';
}

} // namespace

LoadedProgram::~LoadedProgram() {
  for (CUdeviceptr block : blocks)
    device.free(block);
  if (module) {
    Current current(device);
    (void)device.driver.moduleUnload(module);
  }
}

Status LoadedProgram::copySegment(uint32_t index, uint8_t **bytes) const {
  const schema::Segment *segment = program->root->segments()->Get(index);
  *bytes = static_cast<uint8_t *>(program->allocator.allocate(segment->size() + 1, kBufferAlignment));
  if (!*bytes)
    return outOfMemory();
  if (segment->size())
    std::memcpy(*bytes, program->file + segment->offset(), segment->size());
  (*bytes)[segment->size()] = 0; // so that text ends even where the file changed underneath
  Status status = checkSegmentDigest(program->root, index, *bytes);
  if (!status.ok()) {
    program->allocator.release(*bytes, segment->size() + 1, kBufferAlignment);
    *bytes = nullptr;
  }
  return status;
}

Status LoadedProgram::loadModule(const GpuVariant *variant) {
  if (!functions.resize(program->gpu.launches.size()))
    return outOfMemory();
  if (!variant)
    return {};
  firstKernel = variant->firstKernel;
  Current current(device);
  MSA_TRY(loadImage(*variant));
  return findFunctions(*variant);
}

Status LoadedProgram::loadImage(const GpuVariant &variant) {
  uint32_t sm = uint32_t(device.major * 10 + device.minor);
  for (uint32_t i = 0; i < variant.cubinCount; ++i) {
    const GpuCubin &cubin = program->gpu.cubins[variant.firstCubin + i];
    if (cubin.sm != sm)
      continue;
    uint8_t *bytes = nullptr;
    MSA_TRY(copySegment(cubin.segment, &bytes));
    CUresult result = device.driver.moduleLoadDataEx(&module, bytes, 0, nullptr, nullptr);
    program->allocator.release(bytes, program->root->segments()->Get(cubin.segment)->size() + 1, kBufferAlignment);
    if (result == CUDA_SUCCESS)
      return {};
    module = nullptr;
    char text[160];
    device.driver.describe(result, text, sizeof(text));
    program->runtime->logf(MSA_LOG_WARNING, "the driver refuses the kernels that were assembled for sm_%u, so it compiles their PTX: %s",
                           sm, text);
    break;
  }
  return loadPtx(program->root->variants()->Get(variant.variant)->segment());
}

Status LoadedProgram::loadPtx(uint32_t segment) {
  uint8_t *bytes = nullptr;
  MSA_TRY(copySegment(segment, &bytes));
  char info[kLogBytes] = "", errors[kLogBytes] = "";
  CUjit_option options[] = {CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES, CU_JIT_ERROR_LOG_BUFFER,
                            CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
  void *values[] = {info, reinterpret_cast<void *>(uintptr_t(sizeof(info) - 1)), errors,
                    reinterpret_cast<void *>(uintptr_t(sizeof(errors) - 1))};
  CUresult result = device.driver.moduleLoadDataEx(&module, bytes, 4, options, values);
  program->allocator.release(bytes, program->root->segments()->Get(segment)->size() + 1, kBufferAlignment);
  joinLines(info);
  joinLines(errors);
  if (result == CUDA_SUCCESS) {
    if (info[0])
      program->runtime->logf(MSA_LOG_DEBUG, "the driver compiled the PTX of variant '%s': %s", program->variant, info);
    return {};
  }
  module = nullptr;
  char text[160];
  device.driver.describe(result, text, sizeof(text));
  return failure(result == CUDA_ERROR_OUT_OF_MEMORY ? MSA_OUT_OF_MEMORY
                 : result == CUDA_ERROR_UNSUPPORTED_PTX_VERSION ? MSA_UNSUPPORTED
                                                                : MSA_DEVICE_FAILED,
                 "the driver, for CUDA %d.%d, cannot compile the PTX of variant '%s': %s%s%s%s%s", device.driver.version / 1000,
                 device.driver.version % 1000 / 10, program->variant, text, errors[0] ? "; errors: " : "", errors,
                 info[0] ? "; notes: " : "", info);
}

Status LoadedProgram::findFunctions(const GpuVariant &variant) {
  const GpuTables &gpu = program->gpu;
  for (uint32_t k = 0; k < program->kernels.size(); ++k) {
    const GpuKernel &kernel = gpu.kernels[variant.firstKernel + k];
    for (uint32_t c = 0; c < kernel.caseCount; ++c) {
      const GpuCase &gpuCase = gpu.cases[kernel.firstCase + c];
      for (uint32_t l = gpuCase.firstLaunch; l < gpuCase.firstLaunch + gpuCase.launchCount; ++l) {
        const char *symbol = gpu.launches[l].symbol;
        CUresult result = device.driver.moduleGetFunction(&functions[l], module, symbol);
        if (result == CUDA_ERROR_NOT_FOUND)
          return failure(MSA_INVALID_ARTIFACT, "kernel %u '%s': variant '%s' defines no function '%s'", k, program->kernels[k].symbol,
                         program->variant, symbol);
        MSA_TRY(device.driver.check(result, "moduleGetFunction"));
        MSA_TRY(prepareFunction(l));
      }
    }
  }
  return {};
}

Status LoadedProgram::prepareFunction(uint32_t index) {
  const GpuLaunch &launch = program->gpu.launches[index];
  int threads = 0, fixed = 0;
  MSA_CUDA_TRY(device.driver, funcGetAttribute, &threads, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, functions[index]);
  MSA_CUDA_TRY(device.driver, funcGetAttribute, &fixed, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, functions[index]);
  if (int64_t(launch.block) > threads)
    return failure(MSA_INVALID_ARTIFACT, "function '%s' of variant '%s' is launched with blocks of %u threads, the device runs it with at "
                                         "most %d",
                   launch.symbol, program->variant, launch.block, threads);
  if (int64_t(launch.dynamicShared) + fixed > device.sharedLimit)
    return failure(MSA_UNSUPPORTED, "function '%s' of variant '%s' needs %" PRId64 " bytes of shared memory, the device has %d for a block",
                   launch.symbol, program->variant, int64_t(launch.dynamicShared) + fixed, device.sharedLimit);
  if (launch.mapCount && !device.driver.tensorMapEncodeTiled)
    return failure(MSA_UNSUPPORTED, "function '%s' of variant '%s' takes tensor maps, for which a driver for CUDA 12.0 or newer is needed",
                   launch.symbol, program->variant);
  if (launch.cluster > 1 && !device.driver.launchKernelEx)
    return failure(MSA_UNSUPPORTED, "function '%s' of variant '%s' runs in clusters, for which a driver for CUDA 11.8 or newer is needed",
                   launch.symbol, program->variant);
  // Several launches may share a function; it is allowed what the largest needs.
  uint32_t shared = 0;
  for (uint32_t other = 0; other <= index; ++other)
    if (functions[other] == functions[index])
      shared = std::max(shared, program->gpu.launches[other].dynamicShared);
  if (shared > kSharedWithoutAsking)
    MSA_CUDA_TRY(device.driver, funcSetAttribute, functions[index], CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, int(shared));
  return {};
}

Status LoadedProgram::uploadConstants() {
  const schema::Program *root = program->root;
  if (!blocks.resize(length(root->segments())) || !constants.resize(program->constants.size()))
    return outOfMemory();
  Current current(device);
  for (uint32_t i = 0; i < program->constants.size(); ++i) {
    const schema::Constant *constant = root->constants()->Get(i);
    const schema::Segment *segment = root->segments()->Get(constant->segment());
    CUdeviceptr &block = blocks[constant->segment()];
    if (!block && segment->size()) {
      MSA_TRY(device.allocate(segment->size(), &block));
      for (uint64_t at = 0; at < segment->size(); at += kUploadBytes)
        MSA_CUDA_TRY(device.driver, memcpyHtoDAsync, block + at, program->file + segment->offset() + at,
                     std::min(kUploadBytes, segment->size() - at), device.stream);
    }
    constants[i] = constant->size() ? block + constant->offset() : device.zeros;
  }
  return device.synchronize();
}

Status loadProgram(msa_program *program, const msa_program_options &options) {
  const schema::Program *root = program->root;
  char names[256];
  variantNames(root, names, sizeof(names));
  const char *hint = hasCpuVariant(root) && !options.allow_cpu ? "; it can run on the CPU, if that is asked for or allowed" : "";
  if (options.variant && !isGpuVariant(options.variant))
    return failure(MSA_INVALID_ARGUMENT, "variant '%s' was asked for on device cuda:%u, but it is not a GPU's", options.variant,
                   options.device_ordinal);
  Device *device = nullptr;
  Status opened = openDevice(program->runtime, options.device_ordinal, &device);
  if (!opened.ok())
    return failure(opened.code(), "device cuda:%u was asked for: %s; the artifact has code for %s%s", options.device_ordinal,
                   opened.message(), names, hint);
  const GpuVariant *chosen = nullptr;
  for (uint32_t i = 0; i < length(root->variants()) && !chosen; ++i) {
    const char *name = root->variants()->Get(i)->name()->c_str();
    VariantSupport support = gpuVariantSupport(name, device->major, device->minor);
    if (options.variant ? std::strcmp(name, options.variant) == 0 : support == VariantSupport::kSupported) {
      if (support != VariantSupport::kSupported)
        return failure(MSA_UNSUPPORTED, "variant '%s' was asked for, but device cuda:%u '%s' has compute capability %d.%d; it needs %s", name,
                       options.device_ordinal, device->name, device->major, device->minor,
                       gpuVariantNeeds(name) ? gpuVariantNeeds(name) : "a newer runtime");
      chosen = program->gpu.find(i);
    }
  }
  if (!chosen && options.variant)
    return failure(MSA_NOT_FOUND, "variant '%s' was asked for, the artifact has %s", options.variant, names);
  if (!chosen && length(root->kernels()))
    return failure(MSA_UNSUPPORTED,
                   "device cuda:%u '%s' has compute capability %d.%d, the artifact has code for %s; compile the model with "
                   "--target=cuda:%s%s",
                   options.device_ordinal, device->name, device->major, device->minor, names, device->major == 9 ? "sm_90" : "sm_80", hint);
  auto *loaded = program->allocator.create<LoadedProgram>(program, device);
  if (!loaded)
    return outOfMemory();
  program->cuda = loaded;
  program->variant = chosen ? root->variants()->Get(chosen->variant)->name()->c_str() : "";
  loaded->synchronous = options.device_synchronous;
  loaded->graphs = options.device_graphs;
  loaded->content = options.bank_content;
  Status status = loaded->loadModule(chosen);
  if (status.ok())
    status = loaded->uploadConstants();
  if (!status.ok()) {
    program->allocator.destroy(loaded);
    program->cuda = nullptr;
    program->variant = "";
  }
  return status;
}

} // namespace msa::rt::cuda
