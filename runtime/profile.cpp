// SPDX-License-Identifier: Apache-2.0

#include "runtime/profile.h"

#include "runtime/status.h"

#include <cinttypes>
#include <cstdio>
#include <time.h>

using namespace msa::rt;

namespace {

/// Names come from the artifact and are UTF-8 without control characters, so only these two need a backslash.
void writeJsonString(FILE *file, const char *text) {
  std::fputc('"', file);
  for (; *text; ++text) {
    if (*text == '"' || *text == '\\')
      std::fputc('\\', file);
    std::fputc(*text, file);
  }
  std::fputc('"', file);
}

} // namespace

int64_t msa_profile::now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t(time.tv_sec) * 1000000000 + time.tv_nsec;
}

msa_status *msa_profile_create(msa_runtime *runtime, msa_profile **out_profile) {
  if (out_profile)
    *out_profile = nullptr;
  if (!runtime || !out_profile)
    return failure(MSA_INVALID_ARGUMENT, "msa_profile_create: runtime or out_profile is null").release();
  *out_profile = runtime->allocator.create<msa_profile>(runtime);
  return *out_profile ? nullptr : outOfMemory().release();
}

msa_profile *msa_profile_retain(msa_profile *profile) {
  if (profile)
    profile->owners.add();
  return profile;
}

void msa_profile_release(msa_profile *profile) {
  if (!profile || !profile->owners.drop())
    return;
  msa_runtime *runtime = profile->runtime;
  runtime->allocator.destroy(profile);
  msa_runtime_release(runtime);
}

void msa_profile_clear(msa_profile *profile) {
  profile->events.clear();
  profile->dropped = 0;
}

size_t msa_profile_event_count(const msa_profile *profile) { return profile->events.size(); }

size_t msa_profile_dropped_count(const msa_profile *profile) { return profile->dropped; }

bool msa_profile_get_event(const msa_profile *profile, size_t index, msa_profile_event *out_event) {
  if (index >= profile->events.size())
    return false;
  *out_event = profile->events[index];
  return true;
}

msa_status *msa_profile_write(const msa_profile *profile, const char *path) {
  if (!profile || !path)
    return failure(MSA_INVALID_ARGUMENT, "msa_profile_write: profile or path is null").release();
  FILE *file = std::fopen(path, "we");
  if (!file)
    return failure(MSA_IO, "cannot write '%s': %m", path).release();
  std::fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[", file);
  const char *separator = "\n";
  for (const msa_profile_event &event : profile->events) {
    std::fprintf(file, "%s{\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":%.3f,\"dur\":%.3f,\"cat\":\"%s\",\"name\":", separator,
                 double(event.start_ns) / 1000, double(event.duration_ns) / 1000, event.command);
    writeJsonString(file, *event.name ? event.name : event.command);
    std::fputs(",\"args\":{\"entry\":", file);
    writeJsonString(file, event.entry);
    std::fprintf(file, ",\"command\":%u,\"tiles\":%" PRId64 ",\"location\":", event.index, event.tiles);
    writeJsonString(file, event.location);
    std::fputs("}}", file);
    separator = ",\n";
  }
  std::fprintf(file, "\n],\"otherData\":{\"droppedEvents\":\"%zu\"}}\n", profile->dropped);
  bool failed = std::ferror(file) != 0;
  failed = std::fclose(file) != 0 || failed;
  return failed ? failure(MSA_IO, "cannot write '%s': %m", path).release() : nullptr;
}
