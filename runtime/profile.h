// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_RUNTIME_PROFILE_H
#define MSA_RUNTIME_PROFILE_H

#include "runtime/runtime.h"

struct msa_profile {
  explicit msa_profile(msa_runtime *runtime)
      : runtime(msa_runtime_retain(runtime)), events(runtime->allocator), start(now()) {}

  /// Nanoseconds of a clock that only goes forward.
  static int64_t now();
  void record(const msa_profile_event &event) {
    if (!events.push(event))
      ++dropped;
  }

  msa::rt::OwnerCount owners;
  msa_runtime *runtime;
  msa::rt::Vector<msa_profile_event> events;
  int64_t start;
  size_t dropped = 0;
};

#endif // MSA_RUNTIME_PROFILE_H
