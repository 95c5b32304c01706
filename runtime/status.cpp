// SPDX-License-Identifier: Apache-2.0

#include "runtime/status.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>

struct msa_status {
  msa_code code;
  bool shared; // the one object for "out of memory", never freed
  char message[1];
};

namespace {

// Constant, so that any number of threads may report it at once.
constexpr char kOutOfMemoryMessage[] = "out of memory: the allocator refused a request";
struct OutOfMemoryStatus {
  msa_code code;
  bool shared;
  char message[sizeof(kOutOfMemoryMessage)];
};
const OutOfMemoryStatus kOutOfMemory = {MSA_OUT_OF_MEMORY, true, "out of memory: the allocator refused a request"};

msa_status *outOfMemoryStatus() {
  return reinterpret_cast<msa_status *>(const_cast<OutOfMemoryStatus *>(&kOutOfMemory));
}

// Status objects come from the C heap: they outlive runtimes, and must exist when the host's allocator has nothing left.
msa_status *makeStatus(msa_code code, size_t length) {
  auto *status = static_cast<msa_status *>(std::malloc(offsetof(msa_status, message) + length + 1));
  if (!status)
    return nullptr;
  status->code = code;
  status->shared = false;
  return status;
}

// Names in messages may come from a hostile file: a terminal must not act on them.
void replaceControlCharacters(char *text) {
  for (; *text; ++text)
    if (static_cast<unsigned char>(*text) < 0x20 || *text == 0x7f)
      *text = '?';
}

} // namespace

msa_code msa_status_code(const msa_status *status) { return status ? status->code : MSA_OK; }

const char *msa_status_message(const msa_status *status) { return status ? status->message : "ok"; }

const char *msa_code_name(msa_code code) {
  switch (code) {
  case MSA_OK:
    return "ok";
  case MSA_INVALID_ARGUMENT:
    return "invalid argument";
  case MSA_NOT_FOUND:
    return "not found";
  case MSA_INVALID_ARTIFACT:
    return "invalid artifact";
  case MSA_UNSUPPORTED:
    return "unsupported";
  case MSA_OUT_OF_MEMORY:
    return "out of memory";
  case MSA_IO:
    return "io";
  case MSA_PROGRAM_FAILED:
    return "program failed";
  case MSA_CANCELLED:
    return "cancelled";
  case MSA_TOO_SMALL:
    return "too small";
  case MSA_FAILED_PRECONDITION:
    return "failed precondition";
  case MSA_DEVICE_FAILED:
    return "device failed";
  }
  return "unknown";
}

msa_status *msa_status_create(msa_code code, const char *message) {
  if (code == MSA_OK)
    return nullptr;
  size_t length = message ? std::strlen(message) : 0;
  msa_status *status = makeStatus(code, length);
  if (!status)
    return outOfMemoryStatus();
  std::memcpy(status->message, message ? message : "", length + 1);
  replaceControlCharacters(status->message);
  return status;
}

void msa_status_release(msa_status *status) {
  if (status && !status->shared)
    std::free(status);
}

namespace msa::rt {

Status failure(msa_code code, const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  int length = std::vsnprintf(nullptr, 0, format, arguments);
  va_end(arguments);
  msa_status *status = length < 0 ? nullptr : makeStatus(code, size_t(length));
  if (status) {
    std::vsnprintf(status->message, size_t(length) + 1, format, again);
    replaceControlCharacters(status->message);
  }
  va_end(again);
  return Status(status ? status : outOfMemoryStatus());
}

Status outOfMemory() { return Status(outOfMemoryStatus()); }

} // namespace msa::rt
