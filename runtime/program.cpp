// SPDX-License-Identifier: Apache-2.0
//
// Loading: from bytes to a program that may run, in the order that lets each check trust the ones before it.

#include "runtime/program.h"

#include "runtime/artifact_file.h"
#include "runtime/cpu_variant.h"
#include "runtime/cuda/loaded_program.h"
#include "runtime/gpu_variant.h"
#include "runtime/mapped_file.h"
#include "runtime/schema/msa_artifact_generated.h"

#include <cinttypes>
#include <cstdio>

using namespace msa::rt;
namespace schema = msa::schema;

msa_program::msa_program(msa_runtime *runtime)
    : runtime(msa_runtime_retain(runtime)), allocator(runtime->allocator), entries(allocator), ports(allocator),
      dims(allocator), slots(allocator), commands(allocator), operands(allocator), kernels(allocator), parameters(allocator),
      constants(allocator), gpu(allocator) {}

msa_program::~msa_program() {
  allocator.destroy(cuda);
  if (mapped)
    unmapFile(file, fileSize);
  allocator.release(table, tableSize, kBufferAlignment);
}

namespace {

template <typename T> uint32_t length(const T *vector) { return vector ? vector->size() : 0; }

/// Index of the variant to run, by the machine or by |wanted|.
Status chooseVariant(const schema::Program *root, const char *wanted, uint32_t *chosen) {
  char names[256] = "";
  size_t used = 0;
  bool forCpus = false;
  if (wanted && isGpuVariant(wanted))
    return failure(MSA_INVALID_ARGUMENT, "variant '%s' was asked for, but the device is the CPU; ask for device cuda as well", wanted);
  for (uint32_t i = 0; i < length(root->variants()); ++i) {
    const char *name = root->variants()->Get(i)->name()->c_str();
    VariantSupport support = variantSupport(name);
    forCpus |= !isGpuVariant(name);
    if (wanted ? std::strcmp(name, wanted) == 0 : support == VariantSupport::kSupported) {
      if (support != VariantSupport::kSupported)
        return failure(MSA_UNSUPPORTED, "variant '%s' was asked for, but %s", name,
                       support == VariantSupport::kMissing ? "this processor lacks what it needs"
                                                           : "this runtime does not know that level");
      *chosen = i;
      return {};
    }
    int written = std::snprintf(names + used, sizeof(names) - used, "%s'%s'", used ? ", " : "", name);
    used += written < 0 ? 0 : size_t(written);
    if (used >= sizeof(names))
      used = sizeof(names) - 1;
  }
  if (wanted)
    return failure(MSA_NOT_FOUND, "variant '%s' was asked for, the artifact has %s", wanted, used ? names : "none");
  if (!forCpus)
    return failure(MSA_UNSUPPORTED,
                   "the artifact has code for GPUs alone, %s; load it for device cuda (msa-run --device=cuda), or compile the model with a "
                   "--target of this processor as well",
                   names);
  return failure(MSA_UNSUPPORTED,
                 "this processor satisfies none of the artifact's variants %s; compile the model with a --target that it has",
                 names);
}

/// Copies a segment, so that what is checked is what is used even if the file changes underneath.
Status copySegment(msa_program *program, uint32_t index, uint8_t **bytes) {
  const schema::Segment *segment = program->root->segments()->Get(index);
  *bytes = static_cast<uint8_t *>(program->allocator.allocate(segment->size() ? segment->size() : 1, kBufferAlignment));
  if (!*bytes)
    return outOfMemory();
  if (segment->size())
    std::memcpy(*bytes, program->file + segment->offset(), segment->size());
  return {};
}

Status loadKernels(msa_program *program, msa_program_options options) {
  const schema::Program *root = program->root;
  if (options.device == MSA_DEVICE_CUDA) {
    Status status = cuda::loadProgram(program, options);
    if (status.ok() || !options.allow_cpu || status.code() != MSA_UNSUPPORTED)
      return status;
    // Only what is missing sends a program to the CPU; what is broken is told.
    options.variant = nullptr;
    options.device = MSA_DEVICE_CPU;
    Status onCpu = loadKernels(program, options);
    if (!onCpu.ok())
      return failure(onCpu.code(), "%s; and on the CPU, which is allowed: %s", status.message(), onCpu.message());
    program->runtime->logf(MSA_LOG_WARNING, "running on the CPU, variant '%s': %s", program->variant, status.message());
    return {};
  }
  if (!length(root->variants())) {
    if (options.variant)
      return failure(MSA_NOT_FOUND, "variant '%s' was asked for, the artifact has none", options.variant);
    return {};
  }
  uint32_t chosen = 0;
  MSA_TRY(chooseVariant(root, options.variant, &chosen));
  const schema::Variant *variant = root->variants()->Get(chosen);
  program->variant = variant->name()->c_str();
  uint64_t size = root->segments()->Get(variant->segment())->size();
  uint8_t *bytes = nullptr;
  MSA_TRY(copySegment(program, variant->segment(), &bytes));
  Status status = checkSegmentDigest(root, variant->segment(), bytes);
  if (status.ok())
    status = program->image.load(bytes, size, program->variant, program->allocator);
  for (size_t i = 0; status.ok() && i < program->kernels.size(); ++i) {
    Kernel &kernel = program->kernels[i];
    kernel.function = reinterpret_cast<msa_kernel_fn>(program->image.find(kernel.symbol));
    if (!kernel.function)
      status = failure(MSA_INVALID_ARTIFACT, "kernel %zu: variant '%s' defines no function '%s'", i, program->variant,
                       kernel.symbol);
  }
  program->image.forgetSymbols();
  program->allocator.release(bytes, size ? size : 1, kBufferAlignment);
  return status;
}

Status checkDigests(msa_program *program, msa_verify verify) {
  const schema::Program *root = program->root;
  for (uint32_t i = 0; i < length(root->segments()); ++i) {
    const schema::Segment *segment = root->segments()->Get(i);
    bool large = segment->kind() == schema::SegmentKind::WEIGHTS || segment->kind() == schema::SegmentKind::TEST_VECTORS;
    if (!large || verify == MSA_VERIFY_ALL)
      MSA_TRY(checkSegmentDigest(root, i, program->file + segment->offset()));
  }
  return {};
}

Status verify(msa_program *program, const msa_program_options &options) {
  ArtifactHeader header;
  MSA_TRY(readArtifactHeader(program->file, program->fileSize < kHeaderSize ? program->fileSize : kHeaderSize,
                             program->fileSize, &header));
  program->tableSize = header.programSize;
  program->table = static_cast<uint8_t *>(program->allocator.allocate(header.programSize, kBufferAlignment));
  if (!program->table)
    return outOfMemory();
  std::memcpy(program->table, program->file + header.programOffset, header.programSize);
  MSA_TRY(readArtifactProgram(header, program->table, &program->root));
  const schema::Program *root = program->root;
  if ((options.expected_major || options.expected_minor) &&
      (root->version_major() != options.expected_major || root->version_minor() != options.expected_minor))
    return failure(MSA_UNSUPPORTED, "the artifact has format version %u.%u, the caller expects %u.%u", root->version_major(),
                   root->version_minor(), options.expected_major, options.expected_minor);
  MSA_TRY(checkSegmentLayout(header, program->file, root));
  MSA_TRY(decodeProgram(program));
  if (options.expected_fingerprint &&
      (!root->fingerprint() || std::memcmp(root->fingerprint()->data(), options.expected_fingerprint, 32) != 0))
    return failure(MSA_UNSUPPORTED, "the artifact's fingerprint %s; it belongs to another model",
                   root->fingerprint() ? "is not the expected one" : "is absent");
  return checkDigests(program, options.verify);
}

Status load(msa_program *program, const msa_program_options &options) {
  MSA_TRY(verify(program, options));
  MSA_TRY(loadKernels(program, options));
  if (!program->cuda)
    MSA_TRY(program->runtime->pool.reserveScratch(program->maxScratchBytes));
  program->runtime->logf(MSA_LOG_INFO, "loaded an artifact of %" PRIu64 " bytes: %zu entries, %zu kernels, variant '%s'",
                         program->fileSize, program->entries.size(), program->kernels.size(), program->variant);
  return {};
}

// Of msa_program_options in version 1.0 of the library.
constexpr size_t kOptionsSize10 = offsetof(msa_program_options, device);

msa_status *create(const char *function, msa_runtime *runtime, const msa_program_options *given, const char *path,
                   const void *data, size_t size, msa_program **out_program) {
  if (out_program)
    *out_program = nullptr;
  if (!runtime || !out_program || (!path && !data))
    return failure(MSA_INVALID_ARGUMENT, "%s: runtime, %s or out_program is null", function, path ? "path" : "data").release();
  msa_program_options options;
  msa_program_options_initialize(&options);
  if (given) {
    if (given->struct_size != sizeof(options) && given->struct_size != kOptionsSize10)
      return failure(MSA_INVALID_ARGUMENT,
                     "%s: options->struct_size is %zu, expected %zu; call msa_program_options_initialize first", function,
                     given->struct_size, sizeof(options))
          .release();
    std::memcpy(&options, given, given->struct_size);
  }
  if (options.device != MSA_DEVICE_CPU && options.device != MSA_DEVICE_CUDA)
    return failure(MSA_INVALID_ARGUMENT, "%s: %d is not a device", function, int(options.device)).release();
  if (options.bank_content != MSA_PLACEMENT_DEVICE && options.bank_content != MSA_PLACEMENT_HOST)
    return failure(MSA_INVALID_ARGUMENT, "%s: %d is not a placement", function, int(options.bank_content)).release();
  auto *program = runtime->allocator.create<msa_program>(runtime);
  if (!program)
    return outOfMemory().release();
  Status status;
  if (path) {
    status = mapFile(path, &program->file, &program->fileSize);
    program->mapped = status.ok();
  } else if (reinterpret_cast<uintptr_t>(data) % kBufferAlignment) {
    status = failure(MSA_INVALID_ARGUMENT, "%s: data is not aligned to %zu bytes", function, kBufferAlignment);
  } else {
    program->file = static_cast<const uint8_t *>(data);
    program->fileSize = size;
  }
  if (status.ok()) {
    status = load(program, options);
    if (!status.ok() && path)
      status = failure(status.code(), "cannot load '%s': %s", path, status.message());
  }
  if (!status.ok()) {
    msa_program_release(program);
    return status.release();
  }
  *out_program = program;
  return nullptr;
}

const Entry *entryAt(const msa_program *program, uint32_t index) {
  return program && index < program->entries.size() ? &program->entries[index] : nullptr;
}

void describe(const msa_program *program, const Port &port, msa_port *out) {
  *out = {};
  out->name = port.name;
  out->type = port.type;
  out->rank = port.rank;
  out->spans = port.spans;
  out->alias_input = port.aliasInput;
  for (uint32_t i = 0; i < port.rank; ++i) {
    const Dim &dim = program->dims[port.firstDim + i];
    out->dims[i] = {dim.reg == kNone ? dim.value : -1, dim.reg, dim.name};
  }
}

bool findPort(const msa_program *program, uint32_t first, uint32_t count, const char *name, uint32_t *out_index) {
  for (uint32_t i = 0; name && i < count; ++i)
    if (std::strcmp(program->ports[first + i].name, name) == 0) {
      *out_index = i;
      return true;
    }
  return false;
}

} // namespace

Status msa::rt::openForInspection(msa_runtime *runtime, const char *path, msa_program **out_program) {
  msa_program_options options;
  msa_program_options_initialize(&options);
  auto *program = runtime->allocator.create<msa_program>(runtime);
  if (!program)
    return outOfMemory();
  Status status = mapFile(path, &program->file, &program->fileSize);
  program->mapped = status.ok();
  if (status.ok())
    status = verify(program, options);
  if (!status.ok()) {
    msa_program_release(program);
    return status;
  }
  *out_program = program;
  return {};
}

void msa_program_options_initialize(msa_program_options *options) {
  *options = {};
  options->struct_size = sizeof(*options);
  options->verify = MSA_VERIFY_ALL;
}

msa_status *msa_program_load_file(msa_runtime *runtime, const char *path, const msa_program_options *options,
                                  msa_program **out_program) {
  return create("msa_program_load_file", runtime, options, path, nullptr, 0, out_program);
}

msa_status *msa_program_load_memory(msa_runtime *runtime, const void *data, size_t size, const msa_program_options *options,
                                    msa_program **out_program) {
  return create("msa_program_load_memory", runtime, options, nullptr, data, size, out_program);
}

msa_program *msa_program_retain(msa_program *program) {
  if (program)
    program->owners.add();
  return program;
}

void msa_program_release(msa_program *program) {
  if (!program || !program->owners.drop())
    return;
  msa_runtime *runtime = program->runtime;
  runtime->allocator.destroy(program);
  msa_runtime_release(runtime);
}

msa_runtime *msa_program_runtime(const msa_program *program) { return program ? program->runtime : nullptr; }

void msa_program_version(const msa_program *program, uint32_t *out_major, uint32_t *out_minor) {
  *out_major = program->root->version_major();
  *out_minor = program->root->version_minor();
}

const char *msa_program_variant(const msa_program *program) { return program->variant; }

msa_device_kind msa_program_device(const msa_program *program) { return program->cuda ? MSA_DEVICE_CUDA : MSA_DEVICE_CPU; }

const char *msa_program_device_name(const msa_program *program) { return program->cuda ? program->cuda->device.name : "CPU"; }

uint32_t msa_program_variant_count(const msa_program *program) { return length(program->root->variants()); }

const char *msa_program_variant_name(const msa_program *program, uint32_t index) {
  return index < length(program->root->variants()) ? program->root->variants()->Get(index)->name()->c_str() : nullptr;
}

bool msa_program_variant_supported(const msa_program *program, uint32_t index) {
  const char *name = msa_program_variant_name(program, index);
  if (!name)
    return false;
  if (program->cuda)
    return gpuVariantSupport(name, program->cuda->device.major, program->cuda->device.minor) == VariantSupport::kSupported;
  return variantSupport(name) == VariantSupport::kSupported;
}

const uint8_t *msa_program_fingerprint(const msa_program *program) {
  return program->root->fingerprint() ? program->root->fingerprint()->data() : nullptr;
}

uint32_t msa_program_provenance_count(const msa_program *program) { return length(program->root->provenance()); }

bool msa_program_provenance(const msa_program *program, uint32_t index, const char **out_key, const char **out_value) {
  if (index >= length(program->root->provenance()))
    return false;
  const schema::KeyValue *pair = program->root->provenance()->Get(index);
  *out_key = pair->key()->c_str();
  *out_value = pair->value() ? pair->value()->c_str() : "";
  return true;
}

uint32_t msa_program_segment_count(const msa_program *program) { return length(program->root->segments()); }

bool msa_program_segment(const msa_program *program, uint32_t index, msa_segment *out_segment) {
  if (index >= length(program->root->segments()))
    return false;
  const schema::Segment *segment = program->root->segments()->Get(index);
  *out_segment = {msa_segment_kind(segment->kind()), segment->name() ? segment->name()->c_str() : "",
                  program->file + segment->offset(), segment->offset(), segment->size()};
  return true;
}

bool msa_program_find_segment(const msa_program *program, msa_segment_kind kind, msa_segment *out_segment) {
  for (uint32_t i = 0; msa_program_segment(program, i, out_segment); ++i)
    if (out_segment->kind == kind)
      return true;
  return false;
}

uint32_t msa_program_entry_count(const msa_program *program) { return uint32_t(program->entries.size()); }

const char *msa_program_entry_name(const msa_program *program, uint32_t index) {
  const Entry *entry = entryAt(program, index);
  return entry ? entry->name : nullptr;
}

bool msa_program_find_entry(const msa_program *program, const char *name, uint32_t *out_entry) {
  for (uint32_t i = 0; name && i < program->entries.size(); ++i)
    if (std::strcmp(program->entries[i].name, name) == 0) {
      *out_entry = i;
      return true;
    }
  return false;
}

uint32_t msa_program_input_count(const msa_program *program, uint32_t index) {
  const Entry *entry = entryAt(program, index);
  return entry ? entry->inputCount : 0;
}

uint32_t msa_program_output_count(const msa_program *program, uint32_t index) {
  const Entry *entry = entryAt(program, index);
  return entry ? entry->outputCount : 0;
}

bool msa_program_input(const msa_program *program, uint32_t index, uint32_t input, msa_port *out_port) {
  const Entry *entry = entryAt(program, index);
  if (!entry || input >= entry->inputCount)
    return false;
  describe(program, program->ports[entry->firstInput + input], out_port);
  return true;
}

bool msa_program_output(const msa_program *program, uint32_t index, uint32_t output, msa_port *out_port) {
  const Entry *entry = entryAt(program, index);
  if (!entry || output >= entry->outputCount)
    return false;
  describe(program, program->ports[entry->firstOutput + output], out_port);
  return true;
}

bool msa_program_find_input(const msa_program *program, uint32_t index, const char *name, uint32_t *out_input) {
  const Entry *entry = entryAt(program, index);
  return entry && findPort(program, entry->firstInput, entry->inputCount, name, out_input);
}

bool msa_program_find_output(const msa_program *program, uint32_t index, const char *name, uint32_t *out_output) {
  const Entry *entry = entryAt(program, index);
  return entry && findPort(program, entry->firstOutput, entry->outputCount, name, out_output);
}
