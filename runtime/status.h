// SPDX-License-Identifier: Apache-2.0
//
// The owning form of msa_status inside the runtime, and the macro that passes a failure on.

#ifndef MSA_RUNTIME_STATUS_H
#define MSA_RUNTIME_STATUS_H

#include "msa/status.h"

namespace msa::rt {

class [[nodiscard]] Status {
public:
  Status() = default;
  explicit Status(msa_status *owned) : status(owned) {}
  Status(Status &&other) noexcept : status(other.release()) {}
  Status &operator=(Status &&other) noexcept {
    if (this != &other) {
      msa_status_release(status);
      status = other.release();
    }
    return *this;
  }
  ~Status() { msa_status_release(status); }

  bool ok() const { return status == nullptr; }
  msa_code code() const { return msa_status_code(status); }
  const char *message() const { return msa_status_message(status); }
  /// Hands the object to the caller of the C interface.
  [[nodiscard]] msa_status *release() {
    msa_status *result = status;
    status = nullptr;
    return result;
  }

private:
  msa_status *status = nullptr;
};

/// A failure with a message formatted as by printf. Control characters in the result are replaced by '?'.
Status failure(msa_code code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/// The failure that needs no memory to report that there is none.
Status outOfMemory();

#define MSA_TRY(expression)                                                                                            \
  do {                                                                                                                 \
    ::msa::rt::Status tried = (expression);                                                                                \
    if (!tried.ok())                                                                                                   \
      return tried;                                                                                                    \
  } while (false)

} // namespace msa::rt

#endif // MSA_RUNTIME_STATUS_H
