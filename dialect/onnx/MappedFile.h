// SPDX-License-Identifier: Apache-2.0
//
// Files as read-only mappings, and the way to the files that a model names.

#ifndef MSA_DIALECT_ONNX_MAPPEDFILE_H
#define MSA_DIALECT_ONNX_MAPPEDFILE_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringRef.h"
#include <memory>
#include <string>

namespace msa::onnx {

/// The bytes of a regular file, mapped read-only for the object's lifetime. Thread-safe.
///
/// The file must not shrink meanwhile: reading past its new end raises SIGBUS.
class MappedFile {
public:
  ~MappedFile();
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;

  llvm::ArrayRef<char> bytes() const { return {data, size}; }

  /// Maps the file that `path` leads to, through links too. Null on failure, with the reason in `error`.
  static std::shared_ptr<const MappedFile> open(llvm::StringRef path, std::string &error);

private:
  friend class ExternalFiles;
  MappedFile(const char *data, size_t size) : data(data), size(size) {}
  static std::shared_ptr<const MappedFile> mapDescriptor(int fd, bool refuseHardLinks, std::string &error);

  const char *data;
  size_t size;
};

/// The files beside a model, which it names as places of external data. Each is mapped once. Thread-compatible.
///
/// A model comes from anywhere and may name anything. Only a regular file inside the model's folder with a single
/// hard link is opened; no component of its name may be "..", absolute or a symbolic link. The components are opened one
/// after another without following links, so nothing can be exchanged between a check and its use.
class ExternalFiles {
public:
  /// `folder` is the folder of the model; "" is the current one.
  explicit ExternalFiles(llvm::StringRef folder) : folder(folder.empty() ? "." : folder) {}

  /// Null on failure, with the reason in `error`.
  std::shared_ptr<const MappedFile> open(llvm::StringRef location, std::string &error);

private:
  std::string folder;
  llvm::StringMap<std::shared_ptr<const MappedFile>> opened;
};

} // namespace msa::onnx

#endif // MSA_DIALECT_ONNX_MAPPEDFILE_H
