// SPDX-License-Identifier: Apache-2.0
//
// Walks the commands of an entry. The decoder has proved everything that does not depend on values (which registers are defined,
// which slots are live, what fits which kernel); what does is checked here: dims that must agree, integer overflow, byte ranges,
// sizes of outputs, memory that overlaps. Registers are the host's on every device; what touches memory is in cpu_executor.cpp and
// cuda/executor.cpp.

#ifndef MSA_RUNTIME_EXECUTOR_H
#define MSA_RUNTIME_EXECUTOR_H

#include "runtime/invocation.h"

namespace msa::rt {

/// Where empty slots and empty inputs of the CPU point: kernels may form addresses from it but read and write nothing.
extern uint8_t kEmptyMemory[kBufferAlignment];

bool overlap(const uint8_t *a, uint64_t aSize, const uint8_t *b, uint64_t bSize);

class Executor {
public:
  Executor(msa_invocation *invocation, const msa_run_options &options);

  Status run();

protected:
  //===--- What a device does in its own way -------------------------------===//

  /// Before the first command: dims are known, overlaps are excluded.
  virtual Status begin() { return {}; }
  /// A command that touches memory; those of registers are done here.
  virtual Status perform(const Command &command) { return {}; }
  /// Runs a command and records what it took.
  virtual Status performMeasured(const Command &command);
  /// After the last command: shapes of outputs are known and fit. Makes their bytes readable.
  virtual Status deliver() { return {}; }
  /// After every begin, however it and the run went: nothing of the caller's is in use any more. |status| is how it went so far.
  virtual Status end(Status status) { return status; }
  /// The run has succeeded: the rows of |output|'s buffer, output.shape[0] of them, lie on this device.
  virtual void commit(OutputBinding &output) {}

  //===--- For both --------------------------------------------------------===//

  static int64_t dimOf(const InputBinding &input, uint32_t axis);
  uint64_t inputBytes(uint32_t number) const;
  /// The host's contiguous memory of an input, null when it is empty, lies in several places or in a buffer.
  static const uint8_t *inputData(const InputBinding &input);
  const Slot &slotAt(uint32_t number) const { return program->slots[entry.firstSlot + number]; }
  /// Bytes of output |index| by its final shape.
  uint64_t outputBytes(uint32_t index) const;
  /// The input whose rows stay where they are when buffer output |index| grows; null when it has none.
  InputBinding *growsInPlace(uint32_t index);

  Status checkRange(uint32_t number, const SlotMemory &slot, int64_t offset, int64_t size);
  Status checkWord(uint32_t number, const SlotMemory &slot, int64_t offset);
  /// Bytes that |command|, an alloc, asks for; an output in memory of the caller must have room for them.
  Status allocSize(const Command &command, uint64_t *size);
  /// Tiles of a dispatch.
  Status tilesOf(const Command &command, int64_t *tiles);

  void record(uint32_t commandIndex, int64_t startNs, int64_t endNs);
  bool cancelled() const { return cancel && cancel->load(std::memory_order_relaxed); }
  Status stopped();
  Status progress();
  Status failed(const char *format, ...) __attribute__((format(printf, 2, 3)));

  msa_invocation *invocation;
  const msa_run_options &options;
  msa_context *context;
  msa_program *program;
  const Entry &entry;
  int64_t *registers;
  SlotMemory *slots;
  const std::atomic<bool> *cancel;
  uint32_t index = 0;
  bool again = false; // set by a device to run all commands once more, from the first

private:
  Status prepare();
  Status bindDims();
  Status checkOverlaps();
  Status execute(const Command &command);
  Status assertionFailed(const Command &command);
  Status shapeOutputs();
  void commitBuffers();
  void dropFailedBuffers();
};

/// Runs on the CPU.
Status executeOnCpu(msa_invocation *invocation, const msa_run_options &options);

} // namespace msa::rt

#endif // MSA_RUNTIME_EXECUTOR_H
