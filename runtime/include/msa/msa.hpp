// SPDX-License-Identifier: Apache-2.0
//
// C++ over msa.h: handles that release themselves, and results that must be looked at. Header-only, C++17, no exceptions.
//
//   msa::Runtime runtime;
//   msa::Program program;
//   if (msa::Status status = msa::Runtime::create({}, runtime); !status.ok()) ...
//   if (msa::Status status = msa::Program::load(runtime, "model.msa", {}, program); !status.ok()) ...
//
// Ownership, lifetimes and threads are as msa.h says. A default-constructed or moved-from handle is empty; calling its methods
// other than assignment, get and operator bool is an error of the caller. Copying a handle adds an owner.

#ifndef MSA_MSA_HPP
#define MSA_MSA_HPP

#include "msa/msa.h"

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace msa {

/// Success, or a code and a message.
class [[nodiscard]] Status {
public:
  Status() = default;
  /// Takes over |owned|, which may be NULL.
  explicit Status(msa_status *owned) : handle(owned) {}
  Status(msa_code code, const std::string &message) : handle(msa_status_create(code, message.c_str())) {}
  Status(Status &&other) noexcept : handle(std::exchange(other.handle, nullptr)) {}
  Status &operator=(Status &&other) noexcept {
    std::swap(handle, other.handle);
    return *this;
  }
  ~Status() { msa_status_release(handle); }

  bool ok() const { return handle == nullptr; }
  msa_code code() const { return msa_status_code(handle); }
  const char *message() const { return msa_status_message(handle); }
  /// Gives up ownership.
  msa_status *release() { return std::exchange(handle, nullptr); }

private:
  msa_status *handle = nullptr;
};

namespace detail {

/// An owner of a C handle.
template <typename T, T *(*Retain)(T *), void (*Release)(T *)> class Handle {
public:
  Handle() = default;
  explicit Handle(T *owned) : handle(owned) {}
  Handle(const Handle &other) : handle(Retain(other.handle)) {}
  Handle(Handle &&other) noexcept : handle(std::exchange(other.handle, nullptr)) {}
  Handle &operator=(Handle other) noexcept {
    std::swap(handle, other.handle);
    return *this;
  }
  ~Handle() { Release(handle); }

  T *get() const { return handle; }
  explicit operator bool() const { return handle != nullptr; }

protected:
  /// Empties the handle and gives the place for a new one.
  T **out() {
    Release(std::exchange(handle, nullptr));
    return &handle;
  }

  T *handle = nullptr;
};

} // namespace detail

/// msa_tensor over memory of the caller.
inline msa_tensor tensor(void *data, msa_element_type type, std::initializer_list<int64_t> shape) {
  msa_tensor result = {};
  result.data = data;
  result.type = type;
  for (int64_t dim : shape)
    if (result.rank < MSA_MAX_RANK)
      result.shape[result.rank++] = dim;
  return result;
}

/// Threads and memory. Thread-safe.
class Runtime : public detail::Handle<msa_runtime, msa_runtime_retain, msa_runtime_release> {
public:
  using Handle::Handle;

  struct Options : msa_runtime_options {
    Options() { msa_runtime_options_initialize(this); }
  };
  static Status create(const Options &options, Runtime &out) { return Status(msa_runtime_create(&options, out.out())); }
  uint32_t threadCount() const { return msa_runtime_thread_count(handle); }
};

/// A loaded artifact. Immutable, thread-safe.
class Program : public detail::Handle<msa_program, msa_program_retain, msa_program_release> {
public:
  using Handle::Handle;

  struct Options : msa_program_options {
    Options() { msa_program_options_initialize(this); }
  };
  static Status load(const Runtime &runtime, const std::string &path, const Options &options, Program &out) {
    return Status(msa_program_load_file(runtime.get(), path.c_str(), &options, out.out()));
  }
  static Status load(const Runtime &runtime, const void *data, size_t size, const Options &options, Program &out) {
    return Status(msa_program_load_memory(runtime.get(), data, size, &options, out.out()));
  }

  const char *variant() const { return msa_program_variant(handle); }
  msa_device_kind device() const { return msa_program_device(handle); }
  const char *deviceName() const { return msa_program_device_name(handle); }
  /// False when there is no segment of |kind|.
  bool findSegment(msa_segment_kind kind, msa_segment &segment) const {
    return msa_program_find_segment(handle, kind, &segment);
  }
  uint32_t entryCount() const { return msa_program_entry_count(handle); }
  const char *entryName(uint32_t entry) const { return msa_program_entry_name(handle, entry); }
  Status findEntry(const std::string &name, uint32_t &entry) const {
    if (msa_program_find_entry(handle, name.c_str(), &entry))
      return Status();
    std::string names;
    for (uint32_t i = 0; i < entryCount(); ++i)
      names += (i ? ", '" : "'") + std::string(entryName(i)) + "'";
    return Status(MSA_NOT_FOUND, "the artifact has no entry '" + name + "'; it has " + (names.empty() ? "none" : names));
  }
  uint32_t inputCount(uint32_t entry) const { return msa_program_input_count(handle, entry); }
  uint32_t outputCount(uint32_t entry) const { return msa_program_output_count(handle, entry); }
  bool input(uint32_t entry, uint32_t index, msa_port &port) const { return msa_program_input(handle, entry, index, &port); }
  bool output(uint32_t entry, uint32_t index, msa_port &port) const { return msa_program_output(handle, entry, index, &port); }
};

/// Rows that grow in place. Thread-compatible.
class Buffer : public detail::Handle<msa_buffer, msa_buffer_retain, msa_buffer_release> {
public:
  using Handle::Handle;

  static Status create(const Runtime &runtime, msa_element_type type, std::initializer_list<int64_t> rowShape, Buffer &out) {
    return Status(msa_buffer_create(runtime.get(), type, uint32_t(rowShape.size()), rowShape.begin(), out.out()));
  }
  int64_t rows() const { return msa_buffer_rows(handle); }
  msa_tensor tensor() const {
    msa_tensor result;
    msa_buffer_tensor(handle, &result);
    return result;
  }
  Status fetch() const { return Status(msa_buffer_fetch(handle)); }
  Status reserve(int64_t rows) { return Status(msa_buffer_reserve(handle, rows)); }
  Status append(const void *data, int64_t rows) { return Status(msa_buffer_append(handle, data, rows)); }
  Status truncate(int64_t rows) { return Status(msa_buffer_truncate(handle, rows)); }
};

/// Working memory of one conversation. Thread-compatible.
class Context : public detail::Handle<msa_context, msa_context_retain, msa_context_release> {
public:
  using Handle::Handle;

  static Status create(const Program &program, Context &out) { return Status(msa_context_create(program.get(), out.out())); }
  void trim() { msa_context_trim(handle); }
};

/// Thread-safe.
class CancelToken : public detail::Handle<msa_cancel_token, msa_cancel_token_retain, msa_cancel_token_release> {
public:
  using Handle::Handle;

  static Status create(const Runtime &runtime, CancelToken &out) {
    return Status(msa_cancel_token_create(runtime.get(), out.out()));
  }
  void cancel() { msa_cancel_token_cancel(handle); }
  void reset() { msa_cancel_token_reset(handle); }
  bool isCancelled() const { return msa_cancel_token_is_cancelled(handle); }
};

/// Thread-compatible.
class Profile : public detail::Handle<msa_profile, msa_profile_retain, msa_profile_release> {
public:
  using Handle::Handle;

  static Status create(const Runtime &runtime, Profile &out) { return Status(msa_profile_create(runtime.get(), out.out())); }
  void clear() { msa_profile_clear(handle); }
  Status write(const std::string &path) const { return Status(msa_profile_write(handle, path.c_str())); }
};

/// An entry with its inputs and outputs bound. Thread-compatible.
class Invocation : public detail::Handle<msa_invocation, msa_invocation_retain, msa_invocation_release> {
public:
  using Handle::Handle;

  struct Options : msa_run_options {
    Options() { msa_run_options_initialize(this); }
  };
  static Status create(const Context &context, uint32_t entry, Invocation &out) {
    out = Invocation();
    Status status(msa_invocation_create(context.get(), entry, out.out()));
    out.entry = entry;
    return status;
  }
  static Status create(const Context &context, const std::string &entry, Invocation &out) {
    uint32_t index = 0;
    Program program(msa_program_retain(msa_context_program(context.get())));
    if (Status status = program.findEntry(entry, index); !status.ok())
      return status;
    return create(context, index, out);
  }

  /// Number of the input (output) called |name|.
  Status findInput(const std::string &name, uint32_t &input) const {
    if (msa_program_find_input(program(), entry, name.c_str(), &input))
      return Status();
    return noPort("input", name);
  }
  Status findOutput(const std::string &name, uint32_t &output) const {
    if (msa_program_find_output(program(), entry, name.c_str(), &output))
      return Status();
    return noPort("output", name);
  }

  Status bindInput(uint32_t input, const msa_tensor &tensor) {
    return Status(msa_invocation_bind_input(handle, input, &tensor));
  }
  Status bindInput(const std::string &name, const msa_tensor &tensor) {
    uint32_t input = 0;
    if (Status status = findInput(name, input); !status.ok())
      return status;
    return bindInput(input, tensor);
  }
  Status bindInput(uint32_t input, const Buffer &buffer) {
    return Status(msa_invocation_bind_input_buffer(handle, input, buffer.get()));
  }
  Status bindInput(const std::string &name, const Buffer &buffer) {
    uint32_t input = 0;
    if (Status status = findInput(name, input); !status.ok())
      return status;
    return bindInput(input, buffer);
  }
  Status bindInputSpans(uint32_t input, const msa_tensor &shape, const msa_row_span *spans, size_t count) {
    return Status(msa_invocation_bind_input_spans(handle, input, &shape, spans, count));
  }
  Status bindOutput(uint32_t output, void *data, size_t capacity) {
    return Status(msa_invocation_bind_output(handle, output, data, capacity));
  }
  Status bindOutput(uint32_t output, const Buffer &buffer) {
    return Status(msa_invocation_bind_output_buffer(handle, output, buffer.get()));
  }
  Status bindOutput(const std::string &name, const Buffer &buffer) {
    uint32_t output = 0;
    if (Status status = findOutput(name, output); !status.ok())
      return status;
    return bindOutput(output, buffer);
  }
  Status unbindOutput(uint32_t output) { return Status(msa_invocation_unbind_output(handle, output)); }

  Status run(const Options &options = Options()) { return Status(msa_invocation_run(handle, &options)); }

  Status output(uint32_t index, msa_tensor &tensor) const {
    return Status(msa_invocation_output(handle, index, &tensor));
  }
  Status output(const std::string &name, msa_tensor &tensor) const {
    uint32_t index = 0;
    if (Status status = findOutput(name, index); !status.ok())
      return status;
    return output(index, tensor);
  }

private:
  msa_program *program() const { return msa_context_program(msa_invocation_context(handle)); }
  Status noPort(const char *what, const std::string &name) const {
    return Status(MSA_NOT_FOUND,
                  "entry '" + std::string(msa_program_entry_name(program(), entry)) + "' has no " + what + " '" + name + "'");
  }
  uint32_t entry = 0;
};

} // namespace msa

#endif // MSA_MSA_HPP
