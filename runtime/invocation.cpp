// SPDX-License-Identifier: Apache-2.0

#include "runtime/invocation.h"

#include <cinttypes>

using namespace msa::rt;

void msa_invocation::reset() {
  for (InputBinding &input : inputs) {
    msa_buffer_release(input.buffer);
    input.buffer = nullptr;
    input.rows = nullptr;
    input.kind = InputBinding::Kind::kNone;
    input.spanCount = 0;
  }
  for (OutputBinding &output : outputs) {
    msa_buffer_release(output.buffer);
    output.buffer = nullptr;
    output.kind = OutputBinding::Kind::kContext;
    output.result = nullptr;
  }
  run = 0;
}

namespace {

Status checkIndex(const char *function, const msa_invocation *invocation, const char *what, uint32_t index, bool isInput) {
  if (!invocation)
    return failure(MSA_INVALID_ARGUMENT, "%s: invocation is null", function);
  uint32_t count = isInput ? invocation->entry->inputCount : invocation->entry->outputCount;
  if (index >= count)
    return failure(MSA_INVALID_ARGUMENT, "%s: entry '%s' has %u %ss, there is no number %u", function, invocation->entry->name,
                   count, what, index);
  if (invocation->context->running.load(std::memory_order_acquire))
    return failure(MSA_FAILED_PRECONDITION, "%s: the context is running", function);
  return {};
}

/// Type, rank and static dims of |tensor| against |port|; dims from |firstDim| on. |bytes| gets the size of the data.
Status checkShape(const msa_invocation *invocation, const char *what, const Port &port, const msa_tensor &tensor, uint32_t firstDim,
                  uint64_t *bytes) {
  const char *entry = invocation->entry->name;
  if (tensor.type != port.type)
    return failure(MSA_INVALID_ARGUMENT, "%s '%s' of entry '%s': expected elements of type %s, found %s", what, port.name, entry,
                   msa_element_name(port.type), msa_element_name(tensor.type));
  if (tensor.rank != port.rank)
    return failure(MSA_INVALID_ARGUMENT, "%s '%s' of entry '%s': expected rank %u, found %u", what, port.name, entry, port.rank,
                   tensor.rank);
  *bytes = msa_element_size(port.type);
  for (uint32_t i = firstDim; i < port.rank; ++i) {
    const Dim &dim = invocation->context->program->dims[port.firstDim + i];
    if (tensor.shape[i] < 0 || (dim.reg == kNone && tensor.shape[i] != dim.value)) {
      if (dim.reg == kNone)
        return failure(MSA_INVALID_ARGUMENT, "%s '%s' of entry '%s': dim %u: expected %" PRId64 ", found %" PRId64, what, port.name,
                       entry, i, dim.value, tensor.shape[i]);
      return failure(MSA_INVALID_ARGUMENT, "%s '%s' of entry '%s': dim %u (%s): expected 0 or more, found %" PRId64, what,
                     port.name, entry, i, dim.name, tensor.shape[i]);
    }
    if (tensor.shape[i] == 0) {
      *bytes = 0;
    } else if (__builtin_mul_overflow(*bytes, uint64_t(tensor.shape[i]), bytes) || *bytes > INT64_MAX) {
      return failure(MSA_INVALID_ARGUMENT, "%s '%s' of entry '%s': its dims multiply to more than 2^63 bytes", what, port.name,
                     entry);
    }
  }
  return {};
}

Status checkData(const msa_invocation *invocation, const Port &port, const void *data, uint64_t bytes) {
  if (bytes && !data)
    return failure(MSA_INVALID_ARGUMENT, "input '%s' of entry '%s': data is null but the shape has %" PRIu64 " bytes", port.name,
                   invocation->entry->name, bytes);
  if (reinterpret_cast<uintptr_t>(data) % msa_element_size(port.type))
    return failure(MSA_INVALID_ARGUMENT, "input '%s' of entry '%s': data is not aligned to the %zu bytes of an element", port.name,
                   invocation->entry->name, msa_element_size(port.type));
  return {};
}

void setInput(InputBinding &input, InputBinding::Kind kind) {
  msa_buffer_release(input.buffer);
  input.buffer = nullptr;
  input.rows = nullptr;
  input.kind = kind;
}

void setOutput(OutputBinding &output, OutputBinding::Kind kind) {
  msa_buffer_release(output.buffer);
  output.buffer = nullptr;
  output.kind = kind;
  output.result = nullptr;
}

Status bindInput(msa_invocation *invocation, uint32_t index, const msa_tensor *tensor) {
  MSA_TRY(checkIndex("msa_invocation_bind_input", invocation, "input", index, true));
  if (!tensor)
    return failure(MSA_INVALID_ARGUMENT, "msa_invocation_bind_input: tensor is null");
  const Port &port = invocation->inputPort(index);
  uint64_t bytes = 0;
  MSA_TRY(checkShape(invocation, "input", port, *tensor, 0, &bytes));
  MSA_TRY(checkData(invocation, port, tensor->data, bytes));
  InputBinding &input = invocation->inputs[index];
  setInput(input, InputBinding::Kind::kTensor);
  input.data = static_cast<const uint8_t *>(tensor->data);
  for (uint32_t i = 0; i < port.rank; ++i)
    input.shape[i] = tensor->shape[i];
  return {};
}

Status bindInputSpans(msa_invocation *invocation, uint32_t index, const msa_tensor *shape, const msa_row_span *spans,
                      size_t count) {
  MSA_TRY(checkIndex("msa_invocation_bind_input_spans", invocation, "input", index, true));
  if (!shape || (count && !spans))
    return failure(MSA_INVALID_ARGUMENT, "msa_invocation_bind_input_spans: shape or spans is null");
  const Port &port = invocation->inputPort(index);
  if (port.rank == 0)
    return failure(MSA_INVALID_ARGUMENT, "input '%s' of entry '%s': a scalar has no rows to bind as spans", port.name,
                   invocation->entry->name);
  uint64_t rowBytes = 0;
  MSA_TRY(checkShape(invocation, "input", port, *shape, 1, &rowBytes));
  int64_t rows = 0;
  size_t used = 0;
  for (size_t i = 0; i < count; ++i) {
    uint64_t bytes = 0;
    if (spans[i].rows < 0 || __builtin_add_overflow(rows, spans[i].rows, &rows) ||
        __builtin_mul_overflow(uint64_t(rows), rowBytes, &bytes) || bytes > INT64_MAX)
      return failure(MSA_INVALID_ARGUMENT, "input '%s' of entry '%s': span %zu has %" PRId64 " rows; expected 0 or more, and less "
                                           "than 2^63 bytes in all",
                     port.name, invocation->entry->name, i, spans[i].rows);
    MSA_TRY(checkData(invocation, port, spans[i].data, spans[i].rows ? rowBytes : 0));
    used += spans[i].rows > 0;
  }
  const Dim &dim = invocation->context->program->dims[port.firstDim];
  if (dim.reg == kNone && dim.value != rows)
    return failure(MSA_INVALID_ARGUMENT, "input '%s' of entry '%s': dim 0: expected %" PRId64 ", found %" PRId64 " rows in %zu spans",
                   port.name, invocation->entry->name, dim.value, rows, count);
  if (!port.spans && used > 1)
    return failure(MSA_INVALID_ARGUMENT, "input '%s' of entry '%s': expected its rows in one place, found %zu spans", port.name,
                   invocation->entry->name, used);
  InputBinding &input = invocation->inputs[index];
  if (used > input.spanCapacity) {
    size_t grown = input.spanCapacity + input.spanCapacity / 2;
    if (grown < used)
      grown = used;
    void *memory = grown > SIZE_MAX / sizeof(msa_span)
                       ? nullptr
                       : invocation->allocator.allocate(grown * sizeof(msa_span), alignof(msa_span));
    if (!memory)
      return outOfMemory();
    invocation->allocator.release(input.spans, input.spanCapacity * sizeof(msa_span), alignof(msa_span));
    input.spans = static_cast<msa_span *>(memory);
    input.spanCapacity = grown;
  }
  setInput(input, InputBinding::Kind::kSpans);
  input.spanCount = 0;
  int64_t first = 0;
  for (size_t i = 0; i < count; ++i) {
    if (spans[i].rows == 0)
      continue;
    input.spans[input.spanCount++] = {spans[i].data, first, spans[i].rows};
    first += spans[i].rows;
  }
  input.shape[0] = rows;
  for (uint32_t i = 1; i < port.rank; ++i)
    input.shape[i] = shape->shape[i];
  return {};
}

Status checkBuffer(const msa_invocation *invocation, const char *what, const Port &port, const msa_buffer *buffer) {
  msa_tensor tensor = {}; // of rows that need not be fetched for this
  tensor.type = buffer->type;
  tensor.rank = buffer->rowRank + 1;
  for (uint32_t i = 0; i < buffer->rowRank; ++i)
    tensor.shape[i + 1] = buffer->rowShape[i];
  uint64_t bytes = 0;
  return checkShape(invocation, what, port, tensor, 1, &bytes);
}

Status bindInputBuffer(msa_invocation *invocation, uint32_t index, msa_buffer *buffer) {
  MSA_TRY(checkIndex("msa_invocation_bind_input_buffer", invocation, "input", index, true));
  if (!buffer)
    return failure(MSA_INVALID_ARGUMENT, "msa_invocation_bind_input_buffer: buffer is null");
  MSA_TRY(checkBuffer(invocation, "input", invocation->inputPort(index), buffer));
  InputBinding &input = invocation->inputs[index];
  msa_buffer_retain(buffer); // before the old one goes: it may be the same
  setInput(input, InputBinding::Kind::kBuffer);
  input.buffer = buffer;
  return {};
}

Status bindOutput(msa_invocation *invocation, uint32_t index, void *data, size_t capacity) {
  MSA_TRY(checkIndex("msa_invocation_bind_output", invocation, "output", index, false));
  if (capacity && !data)
    return failure(MSA_INVALID_ARGUMENT, "msa_invocation_bind_output: data is null but capacity is %zu", capacity);
  if (reinterpret_cast<uintptr_t>(data) % kBufferAlignment)
    return failure(MSA_INVALID_ARGUMENT, "output '%s' of entry '%s': data is not aligned to %zu bytes",
                   invocation->outputPort(index).name, invocation->entry->name, kBufferAlignment);
  OutputBinding &output = invocation->outputs[index];
  setOutput(output, OutputBinding::Kind::kMemory);
  output.data = static_cast<uint8_t *>(data);
  output.capacity = capacity;
  return {};
}

Status bindOutputBuffer(msa_invocation *invocation, uint32_t index, msa_buffer *buffer) {
  MSA_TRY(checkIndex("msa_invocation_bind_output_buffer", invocation, "output", index, false));
  if (!buffer)
    return failure(MSA_INVALID_ARGUMENT, "msa_invocation_bind_output_buffer: buffer is null");
  MSA_TRY(checkBuffer(invocation, "output", invocation->outputPort(index), buffer));
  OutputBinding &output = invocation->outputs[index];
  msa_buffer_retain(buffer);
  setOutput(output, OutputBinding::Kind::kBuffer);
  output.buffer = buffer;
  return {};
}

} // namespace

void msa::rt::attachRows(msa_invocation *invocation, uint32_t index, DeviceRows &rows) {
  invocation->inputs[index].rows = &rows;
  invocation->inputs[index].epoch = rows.epoch();
}

msa_status *msa_invocation_create(msa_context *context, uint32_t entry, msa_invocation **out_invocation) {
  if (out_invocation)
    *out_invocation = nullptr;
  if (!context || !out_invocation)
    return failure(MSA_INVALID_ARGUMENT, "msa_invocation_create: context or out_invocation is null").release();
  const msa_program *program = context->program;
  if (entry >= program->entries.size())
    return failure(MSA_INVALID_ARGUMENT, "msa_invocation_create: the program has %zu entries, there is no number %u",
                   program->entries.size(), entry)
        .release();
  auto *invocation = context->allocator.create<msa_invocation>(context);
  if (!invocation)
    return outOfMemory().release();
  invocation->entry = &program->entries[entry];
  if (!invocation->inputs.resize(invocation->entry->inputCount) ||
      !invocation->outputs.resize(invocation->entry->outputCount)) {
    msa_invocation_release(invocation);
    return outOfMemory().release();
  }
  *out_invocation = invocation;
  return nullptr;
}

msa_invocation *msa_invocation_retain(msa_invocation *invocation) {
  if (invocation)
    invocation->owners.add();
  return invocation;
}

void msa_invocation_release(msa_invocation *invocation) {
  if (!invocation || !invocation->owners.drop())
    return;
  msa_context *context = invocation->context;
  context->allocator.destroy(invocation);
  msa_context_release(context);
}

msa_context *msa_invocation_context(const msa_invocation *invocation) { return invocation ? invocation->context : nullptr; }

void msa_invocation_reset(msa_invocation *invocation) {
  if (!invocation->context->running.load(std::memory_order_acquire))
    invocation->reset();
}

msa_status *msa_invocation_bind_input(msa_invocation *invocation, uint32_t input, const msa_tensor *tensor) {
  return bindInput(invocation, input, tensor).release();
}

msa_status *msa_invocation_bind_input_spans(msa_invocation *invocation, uint32_t input, const msa_tensor *shape,
                                            const msa_row_span *spans, size_t span_count) {
  return bindInputSpans(invocation, input, shape, spans, span_count).release();
}

msa_status *msa_invocation_bind_input_buffer(msa_invocation *invocation, uint32_t input, msa_buffer *buffer) {
  return bindInputBuffer(invocation, input, buffer).release();
}

msa_status *msa_invocation_bind_output(msa_invocation *invocation, uint32_t output, void *data, size_t capacity) {
  return bindOutput(invocation, output, data, capacity).release();
}

msa_status *msa_invocation_bind_output_buffer(msa_invocation *invocation, uint32_t output, msa_buffer *buffer) {
  return bindOutputBuffer(invocation, output, buffer).release();
}

msa_status *msa_invocation_unbind_output(msa_invocation *invocation, uint32_t output) {
  Status status = checkIndex("msa_invocation_unbind_output", invocation, "output", output, false);
  if (status.ok())
    setOutput(invocation->outputs[output], OutputBinding::Kind::kContext);
  return status.release();
}

void msa_run_options_initialize(msa_run_options *options) {
  *options = {};
  options->struct_size = sizeof(*options);
}

msa_status *msa_invocation_run(msa_invocation *invocation, const msa_run_options *given) {
  if (!invocation)
    return failure(MSA_INVALID_ARGUMENT, "msa_invocation_run: invocation is null").release();
  msa_run_options options;
  msa_run_options_initialize(&options);
  if (given) {
    if (given->struct_size != sizeof(options))
      return failure(MSA_INVALID_ARGUMENT,
                     "msa_invocation_run: options->struct_size is %zu, expected %zu; call msa_run_options_initialize first",
                     given->struct_size, sizeof(options))
          .release();
    options = *given;
  }
  msa_context *context = invocation->context;
  if (context->running.exchange(true, std::memory_order_acquire))
    return failure(MSA_FAILED_PRECONDITION,
                   "msa_invocation_run: the context is running already; use a context of its own for each thread")
        .release();
  invocation->run = 0;
  ++context->runCount;
  Status status = execute(invocation, options);
  if (status.ok())
    invocation->run = context->runCount;
  context->running.store(false, std::memory_order_release);
  return status.release();
}

msa_status *msa_invocation_output(const msa_invocation *invocation, uint32_t index, msa_tensor *out_tensor) {
  Status status = checkIndex("msa_invocation_output", invocation, "output", index, false);
  if (!status.ok())
    return status.release();
  if (!out_tensor)
    return failure(MSA_INVALID_ARGUMENT, "msa_invocation_output: out_tensor is null").release();
  const Port &port = invocation->outputPort(index);
  const OutputBinding &output = invocation->outputs[index];
  if (!invocation->run || !output.result)
    return failure(MSA_FAILED_PRECONDITION, "output '%s' of entry '%s': no run has produced it", port.name,
                   invocation->entry->name)
        .release();
  if (output.kind == OutputBinding::Kind::kContext && invocation->run != invocation->context->runCount)
    return failure(MSA_FAILED_PRECONDITION,
                   "output '%s' of entry '%s': its memory belongs to the context, which has run again or been trimmed since; read it "
                   "earlier or bind memory of your own",
                   port.name, invocation->entry->name)
        .release();
  if (output.kind == OutputBinding::Kind::kBuffer) {
    if (msa_status *failed = msa_buffer_fetch(output.buffer))
      return failed;
    msa_buffer_tensor(output.buffer, out_tensor);
    return nullptr;
  }
  *out_tensor = {};
  out_tensor->data = output.result;
  out_tensor->type = port.type;
  out_tensor->rank = port.rank;
  for (uint32_t i = 0; i < port.rank; ++i)
    out_tensor->shape[i] = output.shape[i];
  return nullptr;
}
