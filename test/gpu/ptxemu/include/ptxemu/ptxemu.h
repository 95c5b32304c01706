// SPDX-License-Identifier: Apache-2.0
//
// ptxemu: runs PTX on the CPU and reports what would be wrong on a GPU.
//
// PTX text is parsed into a Module; a Memory is the device's global address space; launch() executes a grid and returns a Result:
// errors (races, missing fences and waits, bad addresses, deadlocks, ...), warnings and exact counters. Whatever the parser does not know
// is an Error with its line, never skipped.
//
//   auto module = ptxemu::Module::parse(text);
//   ptxemu::Memory memory;
//   uint64_t x = memory.allocate(4096, "x");
//   memory.write(x, host, 4096);
//   ptxemu::Launch launch{.kernel = "scale", .grid = {8}, .block = {128}};
//   launch.parameters = module->find("scale")->pack(x, 2.0f);
//   ptxemu::Result result = ptxemu::launch(*module, memory, launch);
//   if (!result.ok()) std::cerr << result.text();
//
// Threads: there is no global mutable state. A Module is immutable. A Memory may be used from several threads at once. launch() may run in
// several threads at once, also on one Memory; the launches are then as little ordered as kernels on different streams. For one seed a
// Result is the same on every run (allocate() hands out the same addresses in the same order).

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace ptxemu {

/// What is wrong with PTX text, or with a call of this library. `line()` is the line of the PTX text, counted from 1; 0 if there is none.
/// `what()` begins with "line N: " when there is one.
class Error : public std::runtime_error {
public:
  explicit Error(const std::string &message, int line = 0)
      : std::runtime_error(line > 0 ? "line " + std::to_string(line) + ": " + message : message), atLine(line) {}
  int line() const { return atLine; }

private:
  int atLine;
};

/// Extents in x, y, z. For clusters and limits 0 stands for "not given".
struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t(x) * y * z; }
  bool operator==(const Dim3 &) const = default;
};

//===--------------------------------------------------------------------===//
// Modules
//===--------------------------------------------------------------------===//

/// A parameter of a kernel: `size` bytes at `offset` of the parameter block, both in bytes.
struct Parameter {
  std::string name;
  uint32_t size = 0, alignment = 1, offset = 0;
};

/// What a kernel declares.
struct Kernel {
  std::string name;
  std::vector<Parameter> parameters;
  uint32_t parameterBytes = 0;             ///< Size of the parameter block.
  Dim3 requiredThreads{0, 0, 0};           ///< .reqntid; zeros if absent.
  Dim3 maximumThreads{0, 0, 0};            ///< .maxntid; zeros if absent.
  Dim3 requiredCluster{0, 0, 0};           ///< .reqnctapercluster; zeros if absent.
  uint32_t minimumCtasPerSm = 0;           ///< .minnctapersm; 0 if absent.
  uint32_t maximumRegisters = 0;           ///< .maxnreg; 0 if absent.
  uint32_t staticSharedBytes = 0;          ///< Shared memory that every launch of the kernel takes.
  uint32_t localBytes = 0;                 ///< Local memory of a thread.
  bool usesDynamicShared = false;          ///< Refers to an `.extern .shared` array.

  /// The parameter block of a launch from one pointer per parameter to its bytes, as cuLaunchKernel takes them.
  std::vector<std::byte> packPointers(std::span<const void *const> arguments) const;

  /// The parameter block of a launch from values. Throws Error if number or sizes differ from what the kernel declares.
  template <typename... Values> std::vector<std::byte> pack(const Values &...values) const {
    const size_t sizes[] = {sizeof(values)..., 0};
    checkSizes(std::span(sizes, sizeof...(values)));
    const void *pointers[] = {static_cast<const void *>(&values)..., nullptr};
    return packPointers(std::span(pointers, sizeof...(values)));
  }

private:
  void checkSizes(std::span<const size_t> sizes) const;
};

/// A module-scope `.global` or `.const` variable.
struct Variable {
  std::string name;
  uint64_t size = 0;      ///< Bytes.
  uint32_t alignment = 1; ///< Bytes.
  bool constant = false;  ///< Lies in `.const`: kernels may not write it.
};

struct ModuleImpl;

/// A parsed PTX module. Immutable; to be shared freely between threads.
class Module {
public:
  /// Parses and decodes every function of `text`. Throws Error with the line for anything malformed, unknown or not supported.
  static std::shared_ptr<const Module> parse(std::string_view text);
  ~Module();
  Module(const Module &) = delete;
  Module &operator=(const Module &) = delete;

  /// The kernels (`.entry`) in the order of the text.
  const std::vector<Kernel> &kernels() const;
  /// The kernel of that name, or null.
  const Kernel *find(std::string_view name) const;
  /// The module-scope variables in the order of the text.
  const std::vector<Variable> &variables() const;
  /// The `.target`, such as "sm_90a".
  const std::string &target() const;
  /// The number in the `.target`, such as 90.
  int computeCapability() const;
  /// Most shared memory that a CTA may have on the `.target`, in bytes: 232448 on sm_90, 166912 on sm_80, ...
  uint32_t sharedBytesLimit() const;

  const ModuleImpl &impl() const { return *pimpl; }

private:
  explicit Module(std::unique_ptr<ModuleImpl> impl);
  std::unique_ptr<ModuleImpl> pimpl;
};

//===--------------------------------------------------------------------===//
// Memory
//===--------------------------------------------------------------------===//

/// What kernels may do with an allocation. Reads of `Read` memory cost no race detection.
enum class Access : uint8_t { Read, ReadWrite };

/// A live range of the global address space.
struct Allocation {
  uint64_t address = 0;       ///< As kernels see it.
  uint64_t bytes = 0;
  void *host = nullptr;       ///< Where the bytes are.
  std::string label;          ///< Named in reports.
  Access access = Access::ReadWrite;
};

struct MemoryImpl;

/// The global address space. Everything outside of live allocations is out of bounds; addresses are not reused, so that a use of freed
/// memory is recognised. Thread-safe. Must outlive its launches.
class Memory {
public:
  Memory();
  ~Memory();
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;

  /// `bytes` of new memory, filled with 0xFF bytes (NaN in every float format), aligned to 512 bytes. An address of its own kind: it is not
  /// a host pointer. Throws Error if the host has not that much memory.
  uint64_t allocate(uint64_t bytes, std::string label = "", Access access = Access::ReadWrite);

  /// Ends an allocation. Throws Error if `address` is not the beginning of a live one, telling a double free.
  void free(uint64_t address);

  /// Lets kernels use `bytes` of host memory at the same address. The memory must stay valid until unregisterHost(). Throws Error if it
  /// overlaps a live range.
  uint64_t registerHost(void *host, uint64_t bytes, std::string label = "", Access access = Access::ReadWrite);

  /// Ends a registration. Throws Error if `host` is not the beginning of one.
  void unregisterHost(void *host);

  /// Where the `bytes` at a device address are in the host's memory. Throws Error unless they lie in one live allocation.
  void *hostPointer(uint64_t address, uint64_t bytes) const;

  /// Copies to, from and fills device memory. Throw Error as hostPointer() does.
  void write(uint64_t address, const void *from, uint64_t bytes);
  void read(void *to, uint64_t address, uint64_t bytes) const;
  void fill(uint64_t address, int byte, uint64_t bytes);

  /// The live allocation that holds `address`, if any.
  std::optional<Allocation> find(uint64_t address) const;

  /// Bytes in live allocations made by allocate().
  uint64_t allocatedBytes() const;

  /// Allocates and initialises the variables of a module. launch() does so by itself for a module that is not loaded. No effect if loaded.
  void load(const Module &module);

  /// Frees the variables of a module. No effect if it is not loaded.
  void unload(const Module &module);

  /// The address and size of a variable of a loaded module. Nothing if the module is not loaded or has no such variable.
  std::optional<std::pair<uint64_t, uint64_t>> variable(const Module &module, std::string_view name) const;

  MemoryImpl &impl() const { return *pimpl; }

private:
  std::unique_ptr<MemoryImpl> pimpl;
};

//===--------------------------------------------------------------------===//
// Tensor maps
//===--------------------------------------------------------------------===//

/// Element types of tensor maps, with the values of the driver's CUtensorMapDataType.
enum class TensorMapType : uint32_t {
  Uint8 = 0, Uint16 = 1, Uint32 = 2, Int32 = 3, Uint64 = 4, Int64 = 5, Float16 = 6, Float32 = 7, Float64 = 8, Bfloat16 = 9,
  Float32Ftz = 10, TensorFloat32 = 11, TensorFloat32Ftz = 12
};

/// With the values of CUtensorMapSwizzle.
enum class TensorMapSwizzle : uint32_t { None = 0, Bytes32 = 1, Bytes64 = 2, Bytes128 = 3 };

/// What a tensor copy needs to know, in 128 bytes of our own format: the stand-in for CUtensorMap. To be passed by value as a kernel
/// parameter or to lie in global memory, aligned to 64 bytes. Only its checked fields are meant for the emulator.
struct alignas(64) TensorMap {
  uint64_t magic = 0;
  uint64_t address = 0;
  uint64_t strides[4] = {};      ///< Bytes; of dimensions 1..rank-1.
  uint32_t sizes[5] = {};        ///< Elements less one, so that 2^32 fits.
  uint16_t box[5] = {};          ///< Elements.
  uint8_t elementStrides[5] = {};
  uint8_t rank = 0, type = 0, swizzle = 0, interleave = 0, l2Promotion = 0, oobFill = 0;
  uint8_t reserved[39] = {};
};
static_assert(sizeof(TensorMap) == 128);

/// The argument list and documented checks of cuTensorMapEncodeTiled; enumerations by the driver's values. `sizes` (elements) and `box`
/// (elements) and `elementStrides` have `rank` entries, `strides` (bytes) has rank-1. Returns "" or what the driver would refuse, and
/// then leaves `map` as it was. Interleaved layouts and im2col are not supported and say so.
std::string encodeTensorMap(TensorMap &map, TensorMapType type, uint32_t rank, uint64_t address, const uint64_t *sizes, const uint64_t *strides,
                            const uint32_t *box, const uint32_t *elementStrides, uint32_t interleave, TensorMapSwizzle swizzle,
                            uint32_t l2Promotion, uint32_t oobFill);

//===--------------------------------------------------------------------===//
// Launches
//===--------------------------------------------------------------------===//

struct Launch {
  std::string kernel;
  Dim3 grid, block;
  Dim3 cluster{0, 0, 0};            ///< CTAs of a cluster; zeros: what the kernel declares, else 1.
  uint32_t dynamicSharedBytes = 0;
  std::vector<std::byte> parameters; ///< Kernel::parameterBytes bytes; see Kernel::pack().
};

/// When asynchronous work (copies, wgmma) takes place: as late as the program allows, at random moments, or at once. A right program gives
/// the same results in all three; `Latest` uncovers most.
enum class Asynchrony : uint8_t { Latest, Random, Earliest };

struct Options {
  uint64_t seed = 1;                        ///< Of the schedule: order of warps, length of their turns, moments of asynchronous work.
  Asynchrony asynchrony = Asynchrony::Latest;
  bool races = true;                        ///< Happens-before checks of shared and global memory, reads of unwritten shared memory.
  bool strictFence = false;                 ///< Registers written between wgmma.fence and wgmma.mma_async are errors, not warnings.
  uint32_t concurrentClusters = 4;          ///< Clusters that are resident, interleaved; the grid's order is otherwise kept.
  uint64_t instructionLimit = 2'000'000'000; ///< Warp instructions of the whole launch, so that a spin loop ends.
  uint32_t maximumReports = 16;             ///< Of errors, and of warnings; one place is reported once.
  bool traffic = true;                      ///< Count sectors, requests and bank conflicts.
};

/// What a report is about. docs/gpu-without-a-gpu.md has an example of each.
enum class ReportKind : uint8_t {
  Launch,          ///< The launch itself is refused: block size, cluster, shared memory, parameters, unknown kernel.
  OutOfBounds,     ///< An address outside of live memory.
  UseAfterFree,    ///< An address in a freed allocation.
  ReadOnly,        ///< A write to memory that may only be read.
  Misaligned,      ///< An address that the access's size forbids.
  Uninitialized,   ///< A read of shared memory that nobody wrote.
  Race,            ///< Two accesses, one of them a write, that nothing orders.
  IntraWarpRace,   ///< The same between lanes of one warp.
  Proxy,           ///< Ordinary and asynchronous accesses without the proxy fence between them.
  Barrier,         ///< Misuse of bar, barrier.cluster, bar.warp, .aligned instructions in divergent code.
  Mbarrier,        ///< Misuse of an mbarrier.
  Wgmma,           ///< A register or operand of a wgmma used before its wait, a missing fence, warps that disagree.
  Copy,            ///< Misuse of a bulk or tensor copy: not a tensor map, wrong rank, alignment.
  Exit,            ///< A CTA ends with asynchronous work under way.
  Lanes,           ///< shfl, vote, ... with a mask or a source lane that does not fit the running lanes.
  Deadlock,        ///< Nobody can go on.
  Trap,            ///< trap, or a failed assertion.
  InstructionLimit ///< Options::instructionLimit is reached.
};

/// The name of a kind, such as "out-of-bounds".
std::string_view name(ReportKind kind);

struct Report {
  ReportKind kind = ReportKind::Launch;
  std::string message;
  int line = 0;            ///< Of the PTX text; 0 if no instruction is at fault.
  std::string source;      ///< That line's instruction.
  Dim3 cta{0, 0, 0};
  int warp = -1;           ///< In the CTA; -1 if none.
  int lane = -1;           ///< -1 if it concerns the whole warp.
  int otherLine = 0;       ///< The other access of a race; 0 if none.
  std::string otherSource;
  std::string text() const; ///< All of it in one line.
};

/// How often an instruction of the text ran.
struct InstructionCount {
  int line = 0;
  std::string source;
  uint64_t warps = 0, threads = 0; ///< Executions by warps with at least one active lane, and by lanes.
};

/// Bytes, 32-byte sectors and warp-wide requests.
struct Traffic {
  uint64_t requests = 0, bytes = 0, sectors = 0;
};

/// Exact counts of a launch.
struct Stats {
  uint64_t warpInstructions = 0, threadInstructions = 0;
  std::map<std::string, uint64_t> byClass;      ///< Warp instructions by first word of the opcode ("fma", "ld.global", "wgmma.mma_async").
  std::vector<InstructionCount> instructions;   ///< Of the kernel and the functions it calls, in the order of the text.
  uint64_t wgmmaInstructions = 0;               ///< Of warpgroups.
  uint64_t mmaInstructions = 0;                 ///< Of warps.
  uint64_t tensorFlops = 0;                     ///< 2 M N K of wgmma and mma.
  uint64_t bulkCopies = 0;                      ///< Bulk and tensor copies, by destination CTA.
  uint64_t bulkLoadBytes = 0;                   ///< Global to shared, bytes that really come from global memory (multicast counted once).
  uint64_t bulkStoreBytes = 0;                  ///< Shared to global, inside of the tensor.
  uint64_t cpAsyncBytes = 0;
  uint64_t peakBytesInFlight = 0;               ///< Most bytes of copies into one CTA's shared memory that had not landed at one time.
  uint64_t wgmmaSharedBytes = 0;                ///< Operands that wgmma read from shared memory.
  Traffic globalLoads, globalStores, globalAtomics;
  uint64_t sharedWavefronts = 0;                ///< Of ld, st, atom, ldmatrix, stmatrix on shared memory.
  uint64_t sharedWavefrontsIdeal = 0;           ///< What they would be without bank conflicts.
  uint64_t barriers = 0;                        ///< bar.sync and cluster barriers, by warp.
  uint64_t mbarrierWaits = 0;                   ///< By warp.
  uint64_t ctas = 0;
};

struct Result {
  std::vector<Report> errors, warnings;
  Stats stats;
  double seconds = 0;
  std::string output;                    ///< What the kernel printed (vprintf).
  bool ok() const { return errors.empty(); }
  std::string text() const;              ///< Every report, one a line.
};

/// Runs a grid to its end, or to the first thing that makes going on pointless (deadlock, trap, limit). Memory that kernels wrote is as
/// they left it. Faulty accesses are reported and skipped: loads give 0xFF bytes. Never throws for what a kernel does.
Result launch(const Module &module, Memory &memory, const Launch &what, const Options &options = {});

//===--------------------------------------------------------------------===//
// Number formats, for tests and stand-in drivers
//===--------------------------------------------------------------------===//

float fromBfloat16(uint16_t bits);
float fromFloat16(uint16_t bits);
float fromE4m3(uint8_t bits);
float fromE5m2(uint8_t bits);
uint16_t toBfloat16(float value);  ///< To nearest, ties to even.
uint16_t toFloat16(float value);   ///< To nearest, ties to even.
uint8_t toE4m3(float value);       ///< To nearest, ties to even, saturating: 448 for anything larger, NaN stays NaN.
uint8_t toE5m2(float value);       ///< The same, with 57344.

} // namespace ptxemu
