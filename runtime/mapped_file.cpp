// SPDX-License-Identifier: Apache-2.0

#include "runtime/mapped_file.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace msa::rt {

namespace {
struct ErrorText {
  char text[128];
  explicit ErrorText(int error) {
    // strerror is not thread-safe; this form is the GNU one, which may answer with a constant instead of the buffer.
    const char *message = strerror_r(error, text, sizeof(text));
    if (message != text) {
      std::strncpy(text, message, sizeof(text) - 1);
      text[sizeof(text) - 1] = 0;
    }
  }
};
} // namespace

Status mapFile(const char *path, const uint8_t **data, uint64_t *size) {
  // Not blocking: a pipe or a device under that name must not hang the caller.
  int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file < 0) {
    int error = errno;
    return failure(error == ENOENT || error == ENOTDIR ? MSA_NOT_FOUND : MSA_IO, "cannot open '%s': %s", path,
                   ErrorText(error).text);
  }
  Status status;
  struct stat information;
  if (fstat(file, &information) != 0) {
    status = failure(MSA_IO, "cannot read the size of '%s': %s", path, ErrorText(errno).text);
  } else if (!S_ISREG(information.st_mode)) {
    status = failure(MSA_IO, "'%s' is not a regular file", path);
  } else if (information.st_size == 0) {
    status = failure(MSA_INVALID_ARTIFACT, "'%s' is empty", path);
  } else {
    void *memory = mmap(nullptr, size_t(information.st_size), PROT_READ, MAP_PRIVATE, file, 0);
    if (memory == MAP_FAILED) {
      int error = errno;
      status = failure(error == ENOMEM ? MSA_OUT_OF_MEMORY : MSA_IO, "cannot map '%s' (%lld bytes): %s", path,
                       static_cast<long long>(information.st_size), ErrorText(error).text);
    } else {
      *data = static_cast<const uint8_t *>(memory);
      *size = uint64_t(information.st_size);
    }
  }
  close(file);
  return status;
}

void unmapFile(const uint8_t *data, uint64_t size) {
  if (data)
    munmap(const_cast<uint8_t *>(data), size);
}

} // namespace msa::rt
