// SPDX-License-Identifier: Apache-2.0
//===- Writer.cpp - level 3 and shared objects become a file --------------===//
//
// The layout of the file and every rule of the program table stand in runtime/schema/README.md and msa_artifact.fbs; this
// file only follows them. Two passes: first where everything lies (sizes, digests, offsets), then the bytes, streamed.
//
//===----------------------------------------------------------------------===//

#include "codegen/artifact/Writer.h"
#include "codegen/artifact/ConstantBytes.h"
#include "codegen/artifact/EntryProgram.h"
#include "codegen/artifact/GPUProgram.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/SHA256.h"
#include "llvm/Support/raw_ostream.h"
#include <map>

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace mlir;
using namespace msa;

namespace {

constexpr uint64_t kHeaderSize = 64, kAlignment = 64, kPage = 4096;
constexpr uint32_t kVersionMajor = 1, kVersionMinor = 0;
// Written where there is a GPU variant, or an input or output of f8e4m3fn, so that older loaders still read all others.
constexpr uint32_t kVersionMinorOfGPUs = 1, kVersionMinorOfSmallTypes = 2;

bool hasSmallTypes(ModuleOp module) {
  auto isSmall = [](Attribute type) { return isa<Float8E4M3FNType>(getElementTypeOrSelf(cast<TypeAttr>(type).getValue())); };
  return llvm::any_of(module.getOps<exec::EntryOp>(),
                      [&](exec::EntryOp entry) { return llvm::any_of(entry.getInputTypes(), isSmall) || llvm::any_of(entry.getOutputTypes(), isSmall); });
}

using Digest = std::array<uint8_t, 16>;

Digest digestOf(ArrayRef<char> bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  Digest digest;
  std::copy(std::begin(canonical.digest), std::end(canonical.digest), digest.begin());
  return digest;
}

/// Pieces of the weights segment, each at a multiple of 64, equal bytes once.
struct Weights {
  struct Piece {
    ArrayRef<char> bytes;
    uint64_t offset;
  };
  std::vector<Piece> pieces;
  uint64_t size = 0;
  std::map<Digest, size_t> byContent;

  uint64_t add(ArrayRef<char> bytes) {
    auto [it, inserted] = byContent.try_emplace(digestOf(bytes), pieces.size());
    if (!inserted && pieces[it->second].bytes == bytes)
      return pieces[it->second].offset;
    uint64_t offset = llvm::alignTo(size, kAlignment);
    pieces.push_back({bytes, offset});
    size = offset + std::max<uint64_t>(bytes.size(), 1); // a constant without elements still lies somewhere
    return offset;
  }

  /// Calls `take` with the segment's bytes, piece by piece, padding included.
  void stream(llvm::function_ref<void(ArrayRef<char>)> take) const {
    static const char zeros[kAlignment] = {};
    uint64_t at = 0;
    for (const Piece &piece : pieces) {
      take(ArrayRef<char>(zeros, piece.offset - at));
      take(piece.bytes);
      at = piece.offset + piece.bytes.size();
    }
    take(ArrayRef<char>(zeros, size - at));
  }
};

} // namespace

llvm::Error msa::writeArtifact(ModuleOp module, const ArtifactContents &contents, StringRef path) {
  ConstantBytes constantBytes;
  Weights weights;
  ProgramTables tables;

  // -- Constants -------------------------------------------------------------------------------------------------------------
  for (auto op : module.getOps<exec::ConstantOp>()) {
    llvm::Expected<ArrayRef<char>> bytes = constantBytes.get(op.getValue(), ("constant " + op.getSymName()).str());
    if (!bytes)
      return bytes.takeError();
    tables.constantIndex[op.getSymName()] = tables.constants.size();
    tables.constants.push_back({weights.add(*bytes), bytes->size(), op.getSymName().str()});
  }

  // -- Segments: kernels of each variant, tokenizer, model configuration, weights last (they are large) -------------------------
  struct Source {
    schema::SegmentKind kind;
    std::string name;
    ArrayRef<char> bytes; // of all but weights
  };
  std::vector<Source> sources;
  std::vector<uint32_t> variantSegment;
  std::vector<std::vector<uint32_t>> cubinSegments;
  bool anyGPU = false;
  for (const ArtifactVariant &variant : contents.variants) {
    variantSegment.push_back(sources.size());
    std::vector<uint32_t> &cubins = cubinSegments.emplace_back();
    if (!variant.gpu) {
      sources.push_back({schema::SegmentKind::KERNELS, variant.name, ArrayRef<char>(variant.sharedObject)});
      continue;
    }
    anyGPU = true;
    // The NUL that ends a std::string ends the text.
    sources.push_back({schema::SegmentKind::PTX, variant.name, ArrayRef<char>(variant.gpu->ptx.c_str(), variant.gpu->ptx.size() + 1)});
    for (const GPUCode::Cubin &cubin : variant.gpu->cubins) {
      cubins.push_back(sources.size());
      sources.push_back({schema::SegmentKind::CUBIN, variant.name, ArrayRef<char>(cubin.bytes)});
    }
  }
  if (!contents.tokenizer.empty())
    sources.push_back({schema::SegmentKind::TOKENIZER, "tokenizer.json", ArrayRef<char>(contents.tokenizer.data(), contents.tokenizer.size())});
  if (!contents.modelConfig.empty())
    sources.push_back({schema::SegmentKind::MODEL_CONFIG, "msa.json", ArrayRef<char>(contents.modelConfig.data(), contents.modelConfig.size())});
  if (!contents.testVectors.empty())
    sources.push_back({schema::SegmentKind::TEST_VECTORS, "test vectors", ArrayRef<char>(contents.testVectors.data(), contents.testVectors.size())});
  uint32_t weightsSegment = sources.size();
  if (weights.size)
    sources.push_back({schema::SegmentKind::WEIGHTS, "weights", {}});
  for (ProgramTables::Constant &constant : tables.constants)
    constant.segment = weightsSegment;

  std::vector<Digest> digests;
  for (const Source &source : sources) {
    if (source.kind != schema::SegmentKind::WEIGHTS) {
      digests.push_back(digestOf(source.bytes));
      continue;
    }
    XXH3_state_t *state = XXH3_createState();
    XXH3_128bits_reset(state);
    weights.stream([&](ArrayRef<char> part) { XXH3_128bits_update(state, part.data(), part.size()); });
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
    XXH3_freeState(state);
    Digest digest;
    std::copy(std::begin(canonical.digest), std::end(canonical.digest), digest.begin());
    digests.push_back(digest);
  }

  // What binds a bank to a model: the configuration and the weights that make its rows.
  llvm::SHA256 fingerprint;
  fingerprint.update(contents.modelConfig);
  fingerprint.update(contents.tokenizer);
  if (weights.size)
    fingerprint.update(ArrayRef<uint8_t>(digests.back()));
  std::array<uint8_t, 32> fingerprintBytes = fingerprint.final();

  // -- The table. Segment offsets depend on its size and it holds the offsets: their width is fixed, so its size is that of a
  // first draft. -----------------------------------------------------------------------------------------------------------
  auto build = [&](const std::vector<uint64_t> &offsets) -> llvm::Expected<std::vector<char>> {
    flatbuffers::FlatBufferBuilder builder(1 << 16);
    builder.ForceDefaults(true); // an offset of any value takes the same space
    std::vector<flatbuffers::Offset<schema::Segment>> segments;
    for (size_t i = 0; i < sources.size(); ++i) {
      auto digest = builder.CreateVector(digests[i].data(), digests[i].size());
      auto name = builder.CreateString(sources[i].name);
      uint64_t size = sources[i].kind == schema::SegmentKind::WEIGHTS ? weights.size : sources[i].bytes.size();
      segments.push_back(schema::CreateSegment(builder, sources[i].kind, offsets[i], size, digest, name));
    }
    auto segmentVector = builder.CreateVector(segments);
    std::vector<flatbuffers::Offset<schema::Variant>> variants;
    for (auto [i, variant] : llvm::enumerate(contents.variants)) {
      auto name = builder.CreateString(variant.name);
      if (!variant.gpu) {
        variants.push_back(schema::CreateVariant(builder, name, variantSegment[i]));
        continue;
      }
      auto kernels = buildGPUKernels(builder, module, variant.gpu->tables);
      if (!kernels)
        return kernels.takeError();
      std::vector<flatbuffers::Offset<schema::Cubin>> cubins;
      for (auto [cubin, segment] : llvm::zip(variant.gpu->cubins, cubinSegments[i]))
        cubins.push_back(schema::CreateCubin(builder, cubin.sm, segment));
      variants.push_back(schema::CreateVariant(builder, name, variantSegment[i], *kernels, builder.CreateVector(cubins)));
    }
    auto variantVector = builder.CreateVector(variants);
    llvm::Expected<ProgramOffsets> program = buildProgram(builder, module, tables);
    if (!program)
      return program.takeError();
    std::vector<flatbuffers::Offset<schema::KeyValue>> provenance;
    for (const auto &[key, value] : contents.provenance) {
      auto keyOffset = builder.CreateString(key), valueOffset = builder.CreateString(value);
      provenance.push_back(schema::CreateKeyValue(builder, keyOffset, valueOffset));
    }
    auto provenanceVector = builder.CreateVector(provenance);
    auto fingerprintVector = builder.CreateVector(fingerprintBytes.data(), fingerprintBytes.size());
    uint32_t minor = hasSmallTypes(module) ? kVersionMinorOfSmallTypes : anyGPU ? kVersionMinorOfGPUs : kVersionMinor;
    auto root = schema::CreateProgram(builder, kVersionMajor, minor, segmentVector, variantVector, program->kernels,
                                      program->constants, program->entries, provenanceVector, fingerprintVector);
    schema::FinishProgramBuffer(builder, root);
    auto *data = reinterpret_cast<const char *>(builder.GetBufferPointer());
    return std::vector<char>(data, data + builder.GetSize());
  };
  std::vector<uint64_t> offsets(sources.size(), 0);
  llvm::Expected<std::vector<char>> draft = build(offsets);
  if (!draft)
    return draft.takeError();
  uint64_t end = kHeaderSize + draft->size();
  for (size_t i = 0; i < sources.size(); ++i) {
    bool isWeights = sources[i].kind == schema::SegmentKind::WEIGHTS;
    offsets[i] = llvm::alignTo(end, isWeights ? kPage : kAlignment);
    end = offsets[i] + (isWeights ? weights.size : sources[i].bytes.size());
  }
  llvm::Expected<std::vector<char>> program = build(offsets);
  if (!program)
    return program.takeError();
  if (program->size() != draft->size())
    return llvm::createStringError("the program table changed its size between two writes");

  // -- The header --------------------------------------------------------------------------------------------------------------
  std::array<char, kHeaderSize> header = {};
  auto put = [&](size_t at, uint64_t value, size_t width) {
    for (size_t i = 0; i < width; ++i)
      header[at + i] = static_cast<char>(value >> (8 * i));
  };
  std::copy_n("MSAMODEL", 8, header.data());
  put(8, kHeaderSize, 4);
  put(16, kHeaderSize, 8);
  put(24, program->size(), 8);
  put(32, end, 8);
  Digest programDigest = digestOf(*program);
  std::copy(programDigest.begin(), programDigest.end(), reinterpret_cast<uint8_t *>(header.data() + 40));
  put(56, XXH3_64bits(header.data(), 56), 8);

  // -- The file ----------------------------------------------------------------------------------------------------------------
  std::string temporary = (path + ".partial").str();
  {
    std::error_code error;
    llvm::raw_fd_ostream out(temporary, error);
    if (error)
      return llvm::createStringError(error, "cannot write '" + temporary + "': " + error.message());
    out.write(header.data(), header.size());
    out.write(program->data(), program->size());
    for (size_t i = 0; i < sources.size(); ++i) {
      out.write_zeros(offsets[i] - out.tell());
      if (sources[i].kind == schema::SegmentKind::WEIGHTS)
        weights.stream([&](ArrayRef<char> part) { out.write(part.data(), part.size()); });
      else
        out.write(sources[i].bytes.data(), sources[i].bytes.size());
    }
    out.close();
    if (out.has_error()) {
      std::error_code failure = out.error();
      out.clear_error();
      llvm::sys::fs::remove(temporary);
      return llvm::createStringError(failure, "cannot write '" + temporary + "': " + failure.message());
    }
  }
  if (std::error_code error = llvm::sys::fs::rename(temporary, path))
    return llvm::createStringError(error, "cannot rename '" + temporary + "' to '" + path + "': " + error.message());
  return llvm::Error::success();
}
