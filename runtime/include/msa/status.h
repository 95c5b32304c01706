// SPDX-License-Identifier: Apache-2.0
//
// Status: how every fallible function of the MSA runtime answers.
//
// A function returns `msa_status *`: NULL on success, else an object that carries a code and a message with the names and
// numbers of what went wrong (what was expected, what was found, where, what to do). The caller owns it and must pass it to
// msa_status_release. Messages are one line, start in lower case, end without a full stop, and hold no control characters even
// if a hostile file named things with them.

#ifndef MSA_STATUS_H
#define MSA_STATUS_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define MSA_API __attribute__((visibility("default")))
#define MSA_NODISCARD __attribute__((warn_unused_result))
#else
#define MSA_API
#define MSA_NODISCARD
#endif

/// Enumerations have 32 bits in C and C++, so that a value outside one is a value that can be refused, not undefined behaviour.
#ifdef __cplusplus
#define MSA_ENUM_BASE : uint32_t
#else
#define MSA_ENUM_BASE
#endif

#ifdef __cplusplus
extern "C" {
#endif

/// Values are stable; new ones are added at the end.
typedef enum msa_code MSA_ENUM_BASE {
  MSA_OK = 0,
  /// An argument is wrong by itself: null where that is not allowed, an index past the end, a shape or type that the entry does
  /// not take. Correct the call.
  MSA_INVALID_ARGUMENT = 1,
  /// A name that does not exist: entry, input, segment, file.
  MSA_NOT_FOUND = 2,
  /// The file is damaged, truncated or not what it says it is. Trying again cannot help; make it again or copy it again.
  MSA_INVALID_ARTIFACT = 3,
  /// The file is well-formed, but needs another runtime or machine: a newer version, a processor level that this one lacks.
  MSA_UNSUPPORTED = 4,
  /// The host allocator or the system refused memory. The call had no effect beyond what its comment says.
  MSA_OUT_OF_MEMORY = 5,
  /// The operating system refused to read, write or map a file; the message carries its reason.
  MSA_IO = 6,
  /// The program ended the call itself: an assertion about the inputs did not hold, or integer arithmetic overflowed.
  MSA_PROGRAM_FAILED = 7,
  /// The cancel token was set or the progress callback asked to stop.
  MSA_CANCELLED = 8,
  /// Memory that the caller bound is smaller than the result.
  MSA_TOO_SMALL = 9,
  /// The call is right but came at the wrong time: an input is not bound, nothing has run yet, the handle is in use.
  MSA_FAILED_PRECONDITION = 10,
  /// A device other than the CPU failed: its driver refused a call, or a kernel ended in an error. The message carries the driver's
  /// name for it. After an error in a kernel the driver answers every later call of this process with it.
  MSA_DEVICE_FAILED = 11,
} msa_code;

typedef struct msa_status msa_status;

/// Code of |status|; MSA_OK for NULL.
MSA_API msa_code msa_status_code(const msa_status *status);

/// Message of |status|, "ok" for NULL. Valid until |status| is released.
MSA_API const char *msa_status_message(const msa_status *status);

/// Name of |code| in lower case, for instance "invalid artifact". Never NULL.
MSA_API const char *msa_code_name(msa_code code);

/// Makes a status from |code| and a copy of |message|: for components that answer in the same way. MSA_OK gives NULL.
MSA_API msa_status *msa_status_create(msa_code code, const char *message);

/// Frees |status|. NULL is allowed.
MSA_API void msa_status_release(msa_status *status);

#ifdef __cplusplus
} // extern "C"
#endif

#endif // MSA_STATUS_H
