// SPDX-License-Identifier: Apache-2.0
//
// libFuzzer target for the artifact loader: header, FlatBuffer, semantic checks, kernel objects.
//
//   artifact_fuzzer [-runs=N] CORPUS_DIR
//
// Digests would stop nearly every mutation at the door. So the first byte of an input chooses: with an even one the file is taken as
// it is; with an odd one the digests of header, program and segments are made to fit first, as a forger would do. The custom
// mutator moreover changes fields of the program through the schema's object form, so that inputs stay well-formed FlatBuffers and
// reach the semantic checks. A program that loads is not run: its kernels are machine code.

#include "runtime/artifact_file.h"
#include "runtime/schema/msa_artifact_generated.h"

#include "msa/msa.h"

#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

using namespace msa::rt;
namespace schema = msa::schema;

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maxSize);

namespace {

template <typename T> T get(const uint8_t *at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}
template <typename T> void put(uint8_t *at, T value) { std::memcpy(at, &value, sizeof(value)); }

bool programRange(const uint8_t *file, size_t size, uint64_t *programSize) {
  if (size < kHeaderSize)
    return false;
  *programSize = get<uint64_t>(file + kHeaderProgramSizeOffset);
  return *programSize >= 8 && *programSize <= size - kHeaderSize;
}

/// Makes every digest of |file| fit what it covers, where the tables are sound enough to tell.
void seal(uint8_t *file, size_t size) {
  uint64_t programSize;
  if (size < kHeaderSize)
    return;
  std::memcpy(file, kHeaderMagic, 8);
  put(file + kHeaderSizeOffset, uint32_t(kHeaderSize));
  put(file + kHeaderReservedOffset, uint32_t(0));
  put(file + kHeaderProgramOffsetOffset, uint64_t(kHeaderSize));
  put(file + kHeaderFileSizeOffset, uint64_t(size));
  if (programRange(file, size, &programSize)) {
    uint8_t *program = file + kHeaderSize;
    // The table must be aligned for the verifier, and the file may not be.
    std::vector<uint64_t> aligned(programSize / 8 + 1);
    std::memcpy(aligned.data(), program, programSize);
    auto *copy = reinterpret_cast<uint8_t *>(aligned.data());
    flatbuffers::Verifier verifier(copy, programSize, kMaxTableDepth, kMaxTables);
    if (verifier.VerifyBuffer<schema::Program>("MSA1")) {
      const schema::Program *root = schema::GetProgram(copy);
      for (uint32_t i = 0; root->segments() && i < root->segments()->size(); ++i) {
        const schema::Segment *segment = root->segments()->Get(i);
        if (segment->digest()->size() == kDigestSize && segment->offset() <= size && segment->size() <= size - segment->offset())
          artifactDigest(file + segment->offset(), segment->size(), const_cast<uint8_t *>(segment->digest()->data()));
      }
      std::memcpy(program, copy, programSize);
    }
    artifactDigest(program, programSize, file + kHeaderProgramDigestOffset);
  }
  put(file + kHeaderChecksumOffset, artifactChecksum(file, kHeaderChecksumOffset));
}

uint32_t small(std::mt19937 &random) {
  switch (random() % 6) {
  case 0:
    return UINT32_MAX - random() % 2;
  case 1:
    return random();
  default:
    return random() % 12;
  }
}

template <typename T> T &any(std::vector<T> &list, std::mt19937 &random) { return list[random() % list.size()]; }

void mutateCommand(schema::CommandUnion &command, std::mt19937 &random) {
  uint32_t value = small(random), which = random() % 6;
  switch (command.type) {
  case schema::Command::Const:
    (which % 2 ? command.AsConst()->register_ : value) = value;
    command.AsConst()->value = int64_t(random()) << (random() % 33);
    break;
  case schema::Command::Binary: {
    auto *c = command.AsBinary();
    (which == 0 ? c->lhs : which == 1 ? c->rhs : c->register_) = value;
    c->kind = schema::BinaryKind(random() % 16);
    break;
  }
  case schema::Command::Select: {
    auto *c = command.AsSelect();
    (which == 0 ? c->if_true : which == 1 ? c->if_false : which == 2 ? c->condition : c->register_) = value;
    break;
  }
  case schema::Command::Assert:
    command.AsAssert()->condition = value;
    command.AsAssert()->values.push_back(small(random));
    break;
  case schema::Command::Alloc:
    (which % 2 ? command.AsAlloc()->slot : command.AsAlloc()->size) = value;
    break;
  case schema::Command::Free:
    command.AsFree()->slot = value;
    break;
  case schema::Command::Copy: {
    auto *c = command.AsCopy();
    (which == 0   ? c->target
     : which == 1 ? c->source
     : which == 2 ? c->target_offset
     : which == 3 ? c->source_offset
                  : c->size) = value;
    break;
  }
  case schema::Command::Load:
    (which % 2 ? command.AsLoad()->slot : command.AsLoad()->register_) = value;
    command.AsLoad()->offset = uint64_t(random()) << (random() % 40);
    break;
  case schema::Command::Store:
    (which % 2 ? command.AsStore()->slot : command.AsStore()->register_) = value;
    command.AsStore()->offset = uint64_t(random() % 4) * 4;
    break;
  case schema::Command::Dispatch: {
    auto *c = command.AsDispatch();
    if (which == 0)
      c->kernel = value;
    else if (which == 1)
      c->tiles = value;
    else if (which == 2 && !c->buffers.empty())
      any(c->buffers, random) = value;
    else if (which == 3)
      c->buffers.push_back(value);
    else if (which == 4 && !c->scalars.empty())
      any(c->scalars, random) = value;
    else
      c->scalars.push_back(value);
    break;
  }
  default:
    break;
  }
}

void mutateEntry(schema::EntryT &entry, std::mt19937 &random) {
  switch (random() % 9) {
  case 0:
    entry.register_count = small(random);
    break;
  case 1:
    if (!entry.slots.empty())
      any(entry.slots, random) = schema::Slot(schema::SlotKind(random() % 5), small(random));
    break;
  case 2:
    entry.slots.emplace_back(schema::SlotKind(random() % 5), small(random));
    break;
  case 3:
    if (!entry.commands.empty())
      entry.commands.erase(entry.commands.begin() + long(random() % entry.commands.size()));
    break;
  case 4:
    if (entry.commands.size() > 1)
      std::swap(any(entry.commands, random), any(entry.commands, random));
    break;
  case 5:
    if (!entry.inputs.empty()) {
      auto &input = any(entry.inputs, random);
      input->type = schema::ElementType(random() % 16);
      input->spans = random() % 2;
      if (!input->dims.empty()) {
        auto &dim = any(input->dims, random);
        if (random() % 2)
          dim->register_ = small(random);
        else
          dim->value = int64_t(random()) - int64_t(random());
      }
    }
    break;
  case 6:
    if (!entry.outputs.empty()) {
      auto &output = any(entry.outputs, random);
      output->alias_input = small(random);
      output->type = schema::ElementType(random() % 16);
      if (!output->dims.empty())
        any(output->dims, random)->register_ = small(random);
    }
    break;
  default:
    if (!entry.commands.empty() && any(entry.commands, random))
      mutateCommand(any(entry.commands, random)->command, random);
  }
}

void mutateTerm(std::unique_ptr<schema::TermT> &term, std::mt19937 &random) {
  if (!term)
    term = std::make_unique<schema::TermT>();
  int64_t value = int64_t(random()) - int64_t(random() % 2 ? random() : 0);
  switch (random() % 4) {
  case 0:
    term->factor = value << (random() % 32);
    break;
  case 1:
    term->divisor = value;
    break;
  case 2:
    term->multiplier = value;
    break;
  default:
    term->scalars.push_back(small(random));
  }
}

void mutateLaunch(schema::LaunchT &launch, std::mt19937 &random) {
  uint32_t value = small(random);
  switch (random() % 8) {
  case 0:
    launch.block = random() % 2 ? value : 32 * value;
    break;
  case 1:
    launch.cluster = value;
    break;
  case 2:
    launch.dynamic_shared = value << (random() % 20);
    break;
  case 3:
    launch.persistent = value;
    break;
  case 4:
    mutateTerm(random() % 2 ? launch.workspace : launch.workspace_zeroed, random);
    break;
  case 5: {
    auto map = std::make_unique<schema::TensorMapT>();
    map->buffer = value;
    map->type = schema::ElementType(random() % 14);
    map->swizzle = uint8_t(random() % 5 * 32);
    for (uint32_t i = 0, rank = random() % 7; i < rank; ++i) {
      mutateTerm(map->dims.emplace_back(), random);
      map->box.push_back(random() % 4 ? 8u << (random() % 4) : small(random));
      if (i)
        mutateTerm(map->strides.emplace_back(), random);
    }
    launch.tensor_maps.push_back(std::move(map));
    break;
  }
  default:
    if (!launch.grid.empty() && random() % 4)
      mutateTerm(any(launch.grid, random), random);
    else
      mutateTerm(launch.grid.emplace_back(), random);
  }
}

void mutateGpuVariant(schema::VariantT &variant, std::mt19937 &random) {
  if (variant.gpu_kernels.empty() || random() % 8 == 0) {
    variant.name = random() % 2 ? "cuda:sm_80" : "cuda:sm_90";
    variant.gpu_kernels.push_back(std::make_unique<schema::GPUKernelT>());
  }
  auto &kernel = any(variant.gpu_kernels, random);
  if (kernel->cases.empty() || random() % 8 == 0)
    kernel->cases.push_back(std::make_unique<schema::LaunchCaseT>());
  auto &chosen = any(kernel->cases, random);
  if (random() % 8 == 0)
    chosen->scalar = small(random);
  if (!chosen->launches.empty())
    mutateLaunch(*any(chosen->launches, random), random);
}

void mutateProgram(schema::ProgramT &program, std::mt19937 &random) {
  switch (random() % 8) {
  case 0:
    if (!program.segments.empty()) {
      auto &segment = any(program.segments, random);
      if (random() % 3 == 0)
        segment->kind = schema::SegmentKind(random() % 8);
      else if (random() % 2)
        segment->offset += uint64_t(random() % 5) * 64 - 128;
      else
        segment->size += uint64_t(random() % 5) - 2;
    }
    break;
  case 1:
    if (!program.variants.empty() && random() % 2)
      mutateGpuVariant(*any(program.variants, random), random);
    else if (!program.variants.empty())
      any(program.variants, random)->segment = small(random);
    break;
  case 2:
    if (!program.kernels.empty()) {
      auto &kernel = any(program.kernels, random);
      if (random() % 3 == 0)
        kernel->scalar_count = small(random);
      else if (random() % 2)
        kernel->scratch_bytes = uint64_t(random()) << (random() % 32);
      else
        kernel->parameters.push_back(schema::ParameterKind(random() % 5));
    }
    break;
  case 3:
    if (!program.constants.empty()) {
      auto &constant = any(program.constants, random);
      (random() % 2 ? constant->offset : constant->size) = uint64_t(random()) << (random() % 40);
      constant->segment = small(random);
    }
    break;
  default:
    if (!program.entries.empty())
      mutateEntry(*any(program.entries, random), random);
  }
}

/// Puts |program| in the place of the table of |file|. False when it does not fit before the first segment.
bool replaceProgram(uint8_t *file, uint64_t oldSize, const schema::ProgramT &program) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(schema::Program::Pack(builder, &program), "MSA1");
  // Only if what follows can stay where it is: the end of the table, rounded up, is where the first segment starts.
  if ((builder.GetSize() + 63) / 64 != (oldSize + 63) / 64)
    return false;
  std::memset(file + kHeaderSize, 0, (oldSize + 63) / 64 * 64);
  std::memcpy(file + kHeaderSize, builder.GetBufferPointer(), builder.GetSize());
  put(file + kHeaderProgramSizeOffset, uint64_t(builder.GetSize()));
  return true;
}

msa_runtime *theRuntime() {
  static msa_runtime *runtime = [] {
    msa_runtime_options options;
    msa_runtime_options_initialize(&options);
    options.thread_count = 1;
    msa_runtime *made = nullptr;
    if (msa_runtime_create(&options, &made))
      std::abort();
    return made;
  }();
  return runtime;
}

} // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  std::mt19937 random(seed);
  uint64_t programSize;
  if (size > 1 && random() % 4 && programRange(data + 1, size - 1, &programSize) &&
      (programSize + 63) / 64 * 64 + kHeaderSize <= size - 1) {
    std::vector<uint64_t> aligned(programSize / 8 + 1);
    std::memcpy(aligned.data(), data + 1 + kHeaderSize, programSize);
    auto *copy = reinterpret_cast<uint8_t *>(aligned.data());
    flatbuffers::Verifier verifier(copy, programSize, kMaxTableDepth, kMaxTables);
    if (verifier.VerifyBuffer<schema::Program>("MSA1")) {
      std::unique_ptr<schema::ProgramT> program(schema::GetProgram(copy)->UnPack());
      for (unsigned changes = 1 + random() % 3; changes; --changes)
        mutateProgram(*program, random);
      if (replaceProgram(data + 1, programSize, *program)) {
        data[0] |= 1;
        return size;
      }
    }
  }
  size = LLVMFuzzerMutate(data, size, maxSize);
  if (size && random() % 4)
    data[0] |= 1;
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0)
    return 0;
  static uint8_t *memory = nullptr;
  static size_t capacity = 0;
  if (capacity < size) {
    std::free(memory);
    capacity = (size + 4095) / 4096 * 4096;
    memory = static_cast<uint8_t *>(std::aligned_alloc(4096, capacity));
  }
  std::memcpy(memory, data + 1, size - 1);
  if (data[0] & 1)
    seal(memory, size - 1);
  msa_program *program = nullptr;
  msa_status *status = msa_program_load_memory(theRuntime(), memory, size - 1, nullptr, &program);
  if ((status == nullptr) != (program != nullptr))
    std::abort();
  if (program) {
    // What a caller would look at, and what a run would be sized by.
    msa_port port;
    for (uint32_t entry = 0; entry < msa_program_entry_count(program); ++entry) {
      for (uint32_t i = 0; msa_program_input(program, entry, i, &port); ++i) {
      }
      for (uint32_t i = 0; msa_program_output(program, entry, i, &port); ++i) {
      }
    }
    msa_context *context = nullptr;
    msa_status_release(msa_context_create(program, &context));
    msa_context_release(context);
  }
  msa_status_release(status);
  msa_program_release(program);
  return 0;
}
