// SPDX-License-Identifier: Apache-2.0

#include "artifact_writer.h"

#include "runtime/artifact_file.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace msa::test {

using namespace rt;

FileBytes::FileBytes(const std::vector<uint8_t> &source) : count(source.size()) {
  bytes = static_cast<uint8_t *>(std::aligned_alloc(4096, (count + 4095) / 4096 * 4096 + 4096));
  if (count)
    std::memcpy(bytes, source.data(), count);
}

FileBytes &FileBytes::operator=(FileBytes &&other) noexcept {
  std::swap(bytes, other.bytes);
  std::swap(count, other.count);
  return *this;
}

FileBytes::~FileBytes() { std::free(bytes); }

namespace {

template <typename T> void put(std::vector<uint8_t> &file, uint64_t offset, T value) {
  std::memcpy(file.data() + offset, &value, sizeof(value));
}
template <typename T> T get(const std::vector<uint8_t> &file, uint64_t offset) {
  T value;
  std::memcpy(&value, file.data() + offset, sizeof(value));
  return value;
}

std::vector<uint8_t> serialise(const schema::ProgramT &program) {
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(schema::Program::Pack(builder, &program), "MSA1");
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

} // namespace

void sealHeader(std::vector<uint8_t> &file) {
  uint64_t offset = get<uint64_t>(file, kHeaderProgramOffsetOffset), size = get<uint64_t>(file, kHeaderProgramSizeOffset);
  put(file, kHeaderFileSizeOffset, uint64_t(file.size()));
  if (offset <= file.size() && size <= file.size() - offset)
    artifactDigest(file.data() + offset, size, file.data() + kHeaderProgramDigestOffset);
  put(file, kHeaderChecksumOffset, artifactChecksum(file.data(), kHeaderChecksumOffset));
}

std::vector<uint8_t> Artifact::write() const {
  // ProgramT is not copyable in this form; a round trip through its bytes copies it.
  std::vector<uint8_t> packed = serialise(program);
  auto copy = std::unique_ptr<schema::ProgramT>(schema::GetProgram(packed.data())->UnPack());
  copy->segments.clear();
  for (const Blob &blob : blobs) {
    auto segment = std::make_unique<schema::SegmentT>();
    segment->kind = blob.kind;
    segment->offset = 1; // a placeholder that is not the default, so that it takes its space
    segment->size = blob.bytes.size();
    segment->digest.resize(kDigestSize);
    artifactDigest(blob.bytes.data(), blob.bytes.size(), segment->digest.data());
    segment->name = blob.name;
    copy->segments.push_back(std::move(segment));
  }
  uint64_t programSize = serialise(*copy).size();
  uint64_t end = kHeaderSize + programSize;
  for (size_t i = 0; i < blobs.size(); ++i) {
    uint64_t alignment = blobs[i].kind == schema::SegmentKind::WEIGHTS ? kWeightsAlignment : kSegmentAlignment;
    uint64_t offset = (end + alignment - 1) / alignment * alignment;
    copy->segments[i]->offset = offset;
    end = offset + blobs[i].bytes.size();
  }
  std::vector<uint64_t> offsets;
  for (const auto &segment : copy->segments)
    offsets.push_back(segment->offset);
  if (beforeSerialising)
    beforeSerialising(*copy);
  std::vector<uint8_t> table = serialise(*copy);
  if (!beforeSerialising && table.size() != programSize)
    throw std::logic_error("the program changed its size");

  std::vector<uint8_t> file(kHeaderSize);
  std::memcpy(file.data(), kHeaderMagic, 8);
  put(file, kHeaderSizeOffset, uint32_t(kHeaderSize));
  put(file, kHeaderProgramOffsetOffset, uint64_t(kHeaderSize));
  put(file, kHeaderProgramSizeOffset, uint64_t(table.size()));
  file.insert(file.end(), table.begin(), table.end());
  for (size_t i = 0; i < blobs.size(); ++i) {
    if (file.size() < offsets[i])
      file.resize(offsets[i]);
    file.insert(file.end(), blobs[i].bytes.begin(), blobs[i].bytes.end());
  }
  sealHeader(file);
  return file;
}

std::vector<uint8_t> readFile(const std::string &path) {
  FILE *file = std::fopen(path.c_str(), "rb");
  if (!file)
    throw std::runtime_error("cannot open " + path);
  std::vector<uint8_t> bytes;
  uint8_t chunk[4096];
  while (size_t count = std::fread(chunk, 1, sizeof(chunk), file))
    bytes.insert(bytes.end(), chunk, chunk + count);
  std::fclose(file);
  return bytes;
}

void writeFile(const std::string &path, const std::vector<uint8_t> &bytes) {
  FILE *file = std::fopen(path.c_str(), "wb");
  if (!file || std::fwrite(bytes.data(), 1, bytes.size(), file) != bytes.size() || std::fclose(file) != 0)
    throw std::runtime_error("cannot write " + path);
}

namespace {
std::vector<std::unique_ptr<schema::DimT>> makeDims(const std::vector<EntryBuilder::D> &dims) {
  std::vector<std::unique_ptr<schema::DimT>> result;
  for (const EntryBuilder::D &dim : dims) {
    auto made = std::make_unique<schema::DimT>();
    made->value = dim.value;
    if (dim.reg)
      made->register_ = *dim.reg;
    made->name = dim.name;
    result.push_back(std::move(made));
  }
  return result;
}
} // namespace

uint32_t EntryBuilder::slot(schema::SlotKind kind, uint32_t index) {
  entry.slots.emplace_back(kind, index);
  return uint32_t(entry.slots.size() - 1);
}

uint32_t EntryBuilder::input(std::string name, schema::ElementType type, const std::vector<D> &dims, bool spans) {
  auto made = std::make_unique<schema::InputT>();
  made->name = std::move(name);
  made->type = type;
  made->dims = makeDims(dims);
  made->spans = spans;
  entry.inputs.push_back(std::move(made));
  return slot(schema::SlotKind::INPUT, uint32_t(entry.inputs.size() - 1));
}

uint32_t EntryBuilder::output(std::string name, schema::ElementType type, const std::vector<D> &dims,
                              std::optional<uint32_t> aliasInput) {
  auto made = std::make_unique<schema::OutputT>();
  made->name = std::move(name);
  made->type = type;
  made->dims = makeDims(dims);
  if (aliasInput)
    made->alias_input = *aliasInput;
  entry.outputs.push_back(std::move(made));
  return slot(schema::SlotKind::OUTPUT, uint32_t(entry.outputs.size() - 1));
}

template <typename T> void EntryBuilder::command(T value) {
  auto holder = std::make_unique<schema::CommandHolderT>();
  holder->command.Set(std::move(value));
  entry.commands.push_back(std::move(holder));
}

uint32_t EntryBuilder::constantValue(int64_t value) {
  schema::ConstT made;
  made.register_ = reg();
  made.value = value;
  uint32_t result = made.register_;
  command(std::move(made));
  return result;
}

uint32_t EntryBuilder::binary(schema::BinaryKind kind, uint32_t lhs, uint32_t rhs) {
  schema::BinaryT made;
  made.register_ = reg();
  made.kind = kind;
  made.lhs = lhs;
  made.rhs = rhs;
  uint32_t result = made.register_;
  command(std::move(made));
  return result;
}

uint32_t EntryBuilder::select(uint32_t condition, uint32_t ifTrue, uint32_t ifFalse) {
  schema::SelectT made;
  made.register_ = reg();
  made.condition = condition;
  made.if_true = ifTrue;
  made.if_false = ifFalse;
  uint32_t result = made.register_;
  command(std::move(made));
  return result;
}

void EntryBuilder::check(uint32_t condition, std::string message, std::vector<uint32_t> values) {
  schema::AssertT made;
  made.condition = condition;
  made.message = std::move(message);
  made.values = std::move(values);
  command(std::move(made));
}

void EntryBuilder::alloc(uint32_t slot, uint32_t size) {
  schema::AllocT made;
  made.slot = slot;
  made.size = size;
  command(std::move(made));
}

void EntryBuilder::free(uint32_t slot) {
  schema::FreeT made;
  made.slot = slot;
  command(std::move(made));
}

void EntryBuilder::copy(uint32_t target, uint32_t targetOffset, uint32_t source, uint32_t sourceOffset, uint32_t size) {
  schema::CopyT made;
  made.target = target;
  made.target_offset = targetOffset;
  made.source = source;
  made.source_offset = sourceOffset;
  made.size = size;
  command(std::move(made));
}

uint32_t EntryBuilder::load(uint32_t slot, uint64_t offset) {
  schema::LoadT made;
  made.register_ = reg();
  made.slot = slot;
  made.offset = offset;
  uint32_t result = made.register_;
  command(std::move(made));
  return result;
}

void EntryBuilder::store(uint32_t slot, uint64_t offset, uint32_t reg) {
  schema::StoreT made;
  made.slot = slot;
  made.offset = offset;
  made.register_ = reg;
  command(std::move(made));
}

void EntryBuilder::dispatch(uint32_t kernel, uint32_t tiles, std::vector<uint32_t> buffers, std::vector<uint32_t> scalars,
                            std::string location) {
  schema::DispatchT made;
  made.kernel = kernel;
  made.tiles = tiles;
  made.buffers = std::move(buffers);
  made.scalars = std::move(scalars);
  made.location = std::move(location);
  command(std::move(made));
}

const char *testKernelsPath() { return MSA_TEST_KERNELS; }

namespace {

using schema::BinaryKind;
using schema::ElementType;
using schema::ParameterKind;

void addKernel(schema::ProgramT &program, const char *symbol, std::vector<ParameterKind> parameters, uint32_t scalars,
               uint64_t scratch = 0) {
  auto kernel = std::make_unique<schema::KernelT>();
  kernel->symbol = symbol;
  kernel->parameters = std::move(parameters);
  kernel->scalar_count = scalars;
  kernel->scratch_bytes = scratch;
  program.kernels.push_back(std::move(kernel));
}

void addProvenance(schema::ProgramT &program, const char *key, const char *value) {
  auto pair = std::make_unique<schema::KeyValueT>();
  pair->key = key;
  pair->value = value;
  program.provenance.push_back(std::move(pair));
}

std::unique_ptr<schema::EntryT> addEntry() {
  EntryBuilder e("add");
  uint32_t n = e.reg();
  uint32_t a = e.input("a", ElementType::F32, {e.dynamic(n, "N")});
  uint32_t b = e.input("b", ElementType::F32, {e.dynamic(n, "N")});
  uint32_t c = e.output("c", ElementType::F32, {e.dynamic(n, "N")});
  uint32_t bytes = e.binary(BinaryKind::MUL, n, e.constantValue(4));
  uint32_t tiles = e.binary(BinaryKind::CEIL_DIV, n, e.constantValue(16));
  e.alloc(c, bytes);
  e.dispatch(kAdd, tiles, {a, b, c}, {n}, "/add/Add");
  return e.take();
}

std::unique_ptr<schema::EntryT> addConstantEntry() {
  EntryBuilder e("add_constant");
  uint32_t x = e.input("x", ElementType::F32, {e.fixed(16)});
  uint32_t y = e.output("y", ElementType::F32, {e.fixed(16)});
  uint32_t weights = e.constant(0);
  uint32_t n = e.constantValue(16);
  e.alloc(y, e.constantValue(64));
  e.dispatch(kAdd, e.constantValue(1), {x, weights, y}, {n});
  return e.take();
}

std::unique_ptr<schema::EntryT> sumRowsEntry() {
  EntryBuilder e("sum_rows");
  uint32_t c = e.reg();
  uint32_t bank = e.input("bank", ElementType::F32, {e.dynamic(c, "C"), e.fixed(8)}, true);
  uint32_t sums = e.output("sums", ElementType::F32, {e.dynamic(c, "C")});
  e.alloc(sums, e.binary(BinaryKind::MUL, c, e.constantValue(4)));
  e.dispatch(kSumRows, c, {bank, sums}, {});
  return e.take();
}

std::unique_ptr<schema::EntryT> appendEntry() {
  EntryBuilder e("append");
  uint32_t n = e.reg(), m = e.reg(), total = e.reg();
  uint32_t cache = e.input("cache", ElementType::F32, {e.dynamic(n, "N"), e.fixed(4)});
  uint32_t rows = e.input("rows", ElementType::F32, {e.dynamic(m, "M"), e.fixed(4)});
  uint32_t next = e.output("next", ElementType::F32, {e.dynamic(total, "N+M"), e.fixed(4)}, 0);
  uint32_t sum = e.binary(BinaryKind::ADD, n, m);
  uint32_t rowBytes = e.constantValue(16), zero = e.constantValue(0);
  uint32_t oldBytes = e.binary(BinaryKind::MUL, n, rowBytes);
  uint32_t newBytes = e.binary(BinaryKind::MUL, sum, rowBytes);
  e.alloc(next, newBytes);
  e.copy(next, zero, cache, zero, oldBytes);
  e.dispatch(kAppend, m, {rows, next}, {n});
  auto entry = e.take();
  // total = n + m, into the register that the output's dim names.
  schema::BinaryT made;
  made.register_ = total;
  made.kind = BinaryKind::ADD;
  made.lhs = n;
  made.rhs = m;
  auto holder = std::make_unique<schema::CommandHolderT>();
  holder->command.Set(std::move(made));
  entry->commands.push_back(std::move(holder));
  return entry;
}

std::unique_ptr<schema::EntryT> keepPositiveEntry() {
  EntryBuilder e("keep_positive");
  uint32_t n = e.reg(), k = e.reg();
  uint32_t values = e.input("values", ElementType::F32, {e.dynamic(n, "N")});
  uint32_t kept = e.output("kept", ElementType::F32, {e.dynamic(k, "K")});
  uint32_t count = e.arena();
  uint32_t zero = e.constantValue(0), one = e.constantValue(1), eight = e.constantValue(8);
  e.alloc(count, eight);
  e.alloc(kept, e.binary(BinaryKind::MUL, n, e.constantValue(4)));
  e.store(count, 0, zero);
  e.dispatch(kKeepPositive, one, {values, kept, count}, {n});
  uint32_t found = e.load(count, 0);
  e.check(e.binary(BinaryKind::LE, found, n), "more values kept than given", {found, n});
  e.free(count);
  auto entry = e.take();
  schema::BinaryT made;
  made.register_ = k;
  made.kind = BinaryKind::MAXIMUM;
  made.lhs = found;
  made.rhs = found;
  auto holder = std::make_unique<schema::CommandHolderT>();
  holder->command.Set(std::move(made));
  entry->commands.push_back(std::move(holder));
  return entry;
}

std::unique_ptr<schema::EntryT> chainEntry() {
  EntryBuilder e("chain");
  uint32_t n = e.reg();
  uint32_t x = e.input("x", ElementType::F32, {e.dynamic(n, "N")});
  uint32_t y = e.output("y", ElementType::F32, {e.dynamic(n, "N")});
  uint32_t first = e.arena(), second = e.arena();
  uint32_t bytes = e.binary(BinaryKind::MUL, n, e.constantValue(4));
  uint32_t tiles = e.binary(BinaryKind::CEIL_DIV, n, e.constantValue(16));
  e.alloc(first, bytes);
  e.dispatch(kAdd, tiles, {x, x, first}, {n});
  e.alloc(second, bytes);
  e.dispatch(kAdd, tiles, {first, first, second}, {n});
  e.free(first);
  e.alloc(y, bytes);
  e.dispatch(kAdd, tiles, {second, second, y}, {n});
  e.free(second);
  return e.take();
}

std::unique_ptr<schema::EntryT> scratchEntry() {
  EntryBuilder e("scratch");
  uint32_t n = e.reg();
  e.input("like", ElementType::I64, {e.dynamic(n, "N")});
  uint32_t results = e.output("results", ElementType::I64, {e.dynamic(n, "N")});
  e.alloc(results, e.binary(BinaryKind::MUL, n, e.constantValue(8)));
  e.dispatch(kScratch, n, {results}, {});
  return e.take();
}

std::unique_ptr<schema::EntryT> spinEntry() {
  EntryBuilder e("spin");
  uint32_t tilesIn = e.input("tiles", ElementType::I64, {e.fixed(1)});
  uint32_t roundsIn = e.input("rounds", ElementType::I64, {e.fixed(1)});
  uint32_t done = e.output("done", ElementType::I64, {e.fixed(1)});
  uint32_t tiles = e.load(tilesIn, 0), rounds = e.load(roundsIn, 0);
  e.alloc(done, e.constantValue(8));
  e.store(done, 0, tiles);
  e.dispatch(kSpin, tiles, {done}, {rounds});
  return e.take();
}

std::unique_ptr<schema::EntryT> relocatedEntry() {
  EntryBuilder e("relocated");
  uint32_t n = e.reg();
  uint32_t x = e.input("x", ElementType::F32, {e.dynamic(n, "N")});
  uint32_t y = e.output("y", ElementType::F32, {e.dynamic(n, "N")});
  e.alloc(y, e.binary(BinaryKind::MUL, n, e.constantValue(4)));
  e.dispatch(kRelocated, e.binary(BinaryKind::CEIL_DIV, n, e.constantValue(16)), {x, y}, {n});
  return e.take();
}

} // namespace

Artifact testArtifact() {
  Artifact artifact;
  schema::ProgramT &program = artifact.program;
  program.version_major = 1;
  program.version_minor = 0;
  artifact.blobs.push_back({schema::SegmentKind::KERNELS, readFile(testKernelsPath()), "kernels"});
  std::vector<uint8_t> weights(4096);
  for (int i = 0; i < 16; ++i) {
    float value = float(i);
    std::memcpy(weights.data() + 64 + 4 * i, &value, 4);
  }
  artifact.blobs.push_back({schema::SegmentKind::WEIGHTS, weights, "weights"});
  artifact.blobs.push_back({schema::SegmentKind::MODEL_CONFIG, {'{', '}', '\n'}, "msa.json"});

  auto variant = std::make_unique<schema::VariantT>();
#if defined(__x86_64__)
  variant->name = "x86-64";
#else
  variant->name = "aarch64";
#endif
  variant->segment = 0;
  program.variants.push_back(std::move(variant));

  auto constant = std::make_unique<schema::ConstantT>();
  constant->segment = 1;
  constant->offset = 64;
  constant->size = 64;
  constant->name = "weights/ramp";
  program.constants.push_back(std::move(constant));

  using P = ParameterKind;
  addKernel(program, "test_add", {P::READ, P::READ, P::WRITE}, 1);
  addKernel(program, "test_sum_rows", {P::SPANS, P::WRITE}, 0);
  addKernel(program, "test_append", {P::READ, P::UPDATE}, 1);
  addKernel(program, "test_keep_positive", {P::READ, P::WRITE, P::WRITE}, 1);
  addKernel(program, "test_scratch", {P::WRITE}, 0, 4096);
  addKernel(program, "test_spin", {P::UPDATE}, 1);
  addKernel(program, "test_relocated", {P::READ, P::WRITE}, 1);

  program.entries.push_back(addEntry());
  program.entries.push_back(addConstantEntry());
  program.entries.push_back(sumRowsEntry());
  program.entries.push_back(appendEntry());
  program.entries.push_back(keepPositiveEntry());
  program.entries.push_back(chainEntry());
  program.entries.push_back(scratchEntry());
  program.entries.push_back(spinEntry());
  program.entries.push_back(relocatedEntry());

  addProvenance(program, "compiler", "the runtime's tests");
  program.fingerprint.assign(32, 0x5a);
  return artifact;
}

} // namespace msa::test
