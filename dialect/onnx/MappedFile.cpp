// SPDX-License-Identifier: Apache-2.0

#include "dialect/onnx/MappedFile.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace llvm;
using namespace msa::onnx;

namespace {
/// A file descriptor that closes itself.
class Descriptor {
public:
  explicit Descriptor(int fd) : fd(fd) {}
  ~Descriptor() { reset(-1); }
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;
  void reset(int other) {
    if (fd >= 0)
      ::close(fd);
    fd = other;
  }
  int get() const { return fd; }

private:
  int fd;
};
} // namespace

static std::string systemError(const Twine &what) { return (what + ": " + std::strerror(errno)).str(); }

MappedFile::~MappedFile() {
  if (size)
    ::munmap(const_cast<char *>(data), size);
}

std::shared_ptr<const MappedFile> MappedFile::mapDescriptor(int fd, bool refuseHardLinks, std::string &error) {
  struct stat status;
  if (::fstat(fd, &status) != 0) {
    error = systemError("cannot read the file's status");
    return nullptr;
  }
  if (!S_ISREG(status.st_mode)) {
    error = std::string("expected a regular file, but it is a ") + (S_ISDIR(status.st_mode)    ? "folder"
                                                                    : S_ISFIFO(status.st_mode) ? "pipe"
                                                                                               : "device or socket");
    return nullptr;
  }
  if (refuseHardLinks && status.st_nlink != 1) {
    error = "expected a file with one hard link, but it has " + std::to_string(status.st_nlink) +
            ": a linked file may lie outside the model's folder; copy it";
    return nullptr;
  }
  size_t size = status.st_size;
  const char *data = "";
  if (size) {
    void *mapping = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (mapping == MAP_FAILED) {
      error = systemError("cannot map the file");
      return nullptr;
    }
    data = static_cast<const char *>(mapping);
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(data, size));
}

std::shared_ptr<const MappedFile> MappedFile::open(StringRef path, std::string &error) {
  // Without O_NONBLOCK the open of a pipe waits for a writer.
  Descriptor fd(::open(path.str().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) {
    error = systemError("cannot open the file");
    return nullptr;
  }
  return mapDescriptor(fd.get(), /*refuseHardLinks=*/false, error);
}

std::shared_ptr<const MappedFile> ExternalFiles::open(StringRef location, std::string &error) {
  auto known = opened.find(location);
  if (known != opened.end())
    return known->second;

  if (location.empty() || location.contains('\0')) {
    error = "expected the name of a file";
    return nullptr;
  }
  if (location.starts_with("/")) {
    error = "expected a name inside the model's folder, but it is absolute";
    return nullptr;
  }
  SmallVector<StringRef> components;
  location.split(components, '/');
  for (StringRef component : components)
    if (component.empty() || component == "." || component == ".." || component.contains('\\')) {
      error = "expected a plain name inside the model's folder, without '..', '.', '//' or '\\'";
      return nullptr;
    }

  Descriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) {
    error = systemError("cannot open the model's folder");
    return nullptr;
  }
  for (auto [i, component] : llvm::enumerate(components)) {
    bool last = i + 1 == components.size();
    int flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | (last ? O_NONBLOCK : O_DIRECTORY);
    int next = ::openat(fd.get(), component.str().c_str(), flags);
    // O_NOFOLLOW reports a link as ELOOP, together with O_DIRECTORY as ENOTDIR.
    struct stat status;
    if (next < 0 && (errno == ELOOP || errno == ENOTDIR) &&
        ::fstatat(fd.get(), component.str().c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode)) {
      error = "expected no symbolic link in the name, since a link may lead outside the model's folder; copy the file";
      return nullptr;
    }
    if (next < 0) {
      error = systemError("cannot open the file");
      return nullptr;
    }
    fd.reset(next);
  }
  std::shared_ptr<const MappedFile> file = MappedFile::mapDescriptor(fd.get(), /*refuseHardLinks=*/true, error);
  if (file)
    opened.try_emplace(location, file);
  return file;
}
