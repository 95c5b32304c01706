// SPDX-License-Identifier: Apache-2.0
//
// The msa_invocation handle: what is bound to the inputs and outputs of one entry. executor.cpp runs it.

#ifndef MSA_RUNTIME_INVOCATION_H
#define MSA_RUNTIME_INVOCATION_H

#include "runtime/buffer.h"
#include "runtime/context.h"
#include "runtime/device_rows.h"

namespace msa::rt {

struct InputBinding {
  enum class Kind : uint8_t { kNone, kTensor, kSpans, kBuffer };
  Kind kind;
  const uint8_t *data; // kTensor
  int64_t shape[MSA_MAX_RANK];
  msa_buffer *buffer; // kBuffer; retained
  msa_span *spans;    // kSpans: non-empty ones, in row order
  size_t spanCount, spanCapacity;
  // What a kernel that takes spans is given: the list above, or one span around contiguous rows.
  msa_span whole;
  msa_span_list list;
  // kTensor, kSpans: the rows are those of this owner, who keeps copies on devices; null for memory that is known by its address alone.
  DeviceRows *rows;
  uint64_t epoch; // of |rows| when they were bound
};

struct OutputBinding {
  enum class Kind : uint8_t { kContext, kMemory, kBuffer };
  Kind kind;
  uint8_t *data; // kMemory
  uint64_t capacity;
  msa_buffer *buffer; // kBuffer; retained
  // Of the last run.
  uint8_t *result;
  int64_t shape[MSA_MAX_RANK];
};

/// Says that what was just bound to input |index| is |rows|, which must outlive the binding.
void attachRows(msa_invocation *invocation, uint32_t index, DeviceRows &rows);

/// Runs the commands of the invocation's entry.
Status execute(msa_invocation *invocation, const msa_run_options &options);

} // namespace msa::rt

struct msa_invocation {
  explicit msa_invocation(msa_context *context)
      : context(msa_context_retain(context)), allocator(context->allocator), inputs(allocator), outputs(allocator) {}
  ~msa_invocation() {
    reset();
    for (msa::rt::InputBinding &input : inputs)
      allocator.release(input.spans, input.spanCapacity * sizeof(msa_span), alignof(msa_span));
  }
  void reset();

  const msa::rt::Port &inputPort(uint32_t index) const { return context->program->ports[entry->firstInput + index]; }
  const msa::rt::Port &outputPort(uint32_t index) const { return context->program->ports[entry->firstOutput + index]; }

  msa::rt::OwnerCount owners;
  msa_context *context;
  const msa::rt::Allocator &allocator;
  const msa::rt::Entry *entry = nullptr;
  msa::rt::Vector<msa::rt::InputBinding> inputs;
  msa::rt::Vector<msa::rt::OutputBinding> outputs;
  uint64_t run = 0; // msa_context::runCount of the last run that succeeded, 0 for none
};

#endif // MSA_RUNTIME_INVOCATION_H
