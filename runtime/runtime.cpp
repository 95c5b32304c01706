// SPDX-License-Identifier: Apache-2.0

#include "runtime/runtime.h"

#include "runtime/cuda/device.h"

#include <cstdarg>
#include <cstdio>
#include <sched.h>
#include <unistd.h>

namespace {

constexpr uint32_t kMaxThreads = 1024;
constexpr uint32_t kDefaultSpinMicroseconds = 300;

uint32_t availableProcessors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
    return uint32_t(CPU_COUNT(&set));
  long online = sysconf(_SC_NPROCESSORS_ONLN); // more processors than cpu_set_t holds
  return online > 0 ? uint32_t(online) : 1;
}

} // namespace

msa_runtime::~msa_runtime() {
  msa::rt::cuda::closeDevices(this);
  pthread_mutex_destroy(&deviceMutex);
}

void msa_runtime::logf(msa_log_level level, const char *format, ...) {
  if (!log)
    return;
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  log(logUser, level, text);
}

const char *msa_version(void) { return "1.1"; }

size_t msa_element_size(msa_element_type type) {
  switch (type) {
  case MSA_I8:
  case MSA_U8:
  case MSA_BOOL:
  case MSA_F8E4M3FN:
    return 1;
  case MSA_F16:
  case MSA_BF16:
  case MSA_I16:
  case MSA_U16:
    return 2;
  case MSA_F32:
  case MSA_I32:
  case MSA_U32:
    return 4;
  case MSA_F64:
  case MSA_I64:
  case MSA_U64:
    return 8;
  }
  return 0;
}

const char *msa_element_name(msa_element_type type) {
  static const char *const names[] = {"f32", "f16", "bf16", "f64", "i8",  "i16",  "i32",
                                      "i64", "u8",  "u16",  "u32", "u64", "bool", "f8e4m3fn"};
  return unsigned(type) < sizeof(names) / sizeof(names[0]) ? names[type] : "unknown";
}

void msa_runtime_options_initialize(msa_runtime_options *options) {
  *options = {};
  options->struct_size = sizeof(*options);
  options->spin_microseconds = kDefaultSpinMicroseconds;
}

msa_status *msa_runtime_create(const msa_runtime_options *given, msa_runtime **out_runtime) {
  using namespace msa::rt;
  if (!out_runtime)
    return failure(MSA_INVALID_ARGUMENT, "msa_runtime_create: out_runtime is null").release();
  *out_runtime = nullptr;
  msa_runtime_options options;
  msa_runtime_options_initialize(&options);
  if (given) {
    if (given->struct_size != sizeof(options))
      return failure(MSA_INVALID_ARGUMENT,
                     "msa_runtime_create: options->struct_size is %zu, expected %zu; call msa_runtime_options_initialize first",
                     given->struct_size, sizeof(options))
          .release();
    options = *given;
  }
  if (!options.allocator.allocate != !options.allocator.release)
    return failure(MSA_INVALID_ARGUMENT, "msa_runtime_create: give both functions of the allocator or neither").release();
  if (options.cpu_count && !options.cpus)
    return failure(MSA_INVALID_ARGUMENT, "msa_runtime_create: cpu_count is %u but cpus is null", options.cpu_count).release();
  if (options.thread_count > kMaxThreads)
    return failure(MSA_INVALID_ARGUMENT, "msa_runtime_create: thread_count is %u, expected at most %u", options.thread_count,
                   kMaxThreads)
        .release();
  uint32_t threads = options.thread_count ? options.thread_count : availableProcessors();
  if (threads > kMaxThreads)
    threads = kMaxThreads;

  Allocator allocator(options.allocator);
  auto *runtime = allocator.create<msa_runtime>(allocator);
  if (!runtime)
    return outOfMemory().release();
  runtime->log = options.log;
  runtime->logUser = options.log_user;
  Status status =
      runtime->pool.start(threads, options.spin_microseconds, options.cpus, options.cpus ? options.cpu_count : 0);
  if (!status.ok()) {
    msa_runtime_release(runtime);
    return status.release();
  }
  *out_runtime = runtime;
  return nullptr;
}

msa_runtime *msa_runtime_retain(msa_runtime *runtime) {
  if (runtime)
    runtime->owners.add();
  return runtime;
}

void msa_runtime_release(msa_runtime *runtime) {
  if (!runtime || !runtime->owners.drop())
    return;
  msa::rt::Allocator allocator = runtime->allocator;
  allocator.destroy(runtime);
}

uint32_t msa_runtime_thread_count(const msa_runtime *runtime) { return runtime ? runtime->pool.threadCount() : 0; }

const msa_allocator *msa_runtime_allocator(const msa_runtime *runtime) {
  return runtime ? &runtime->allocator.get() : nullptr;
}
