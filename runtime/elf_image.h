// SPDX-License-Identifier: Apache-2.0
//
// Maps the kernels of one variant: an ELF shared object that depends on nothing.
//
// This is not dlopen, on purpose. The system's loader trusts the file it is given (a damaged one can crash it), runs initialisers
// and needs a file to open. Kernels need none of what it offers: no libraries, no symbols from outside, no initialisers, no
// thread-local storage. So every byte is checked before it is used, and what a kernel object may not have is refused by name.

#ifndef MSA_RUNTIME_ELF_IMAGE_H
#define MSA_RUNTIME_ELF_IMAGE_H

#include "runtime/allocator.h"
#include "runtime/status.h"

#include <cstddef>
#include <cstdint>

namespace msa::rt {

class ElfImage {
public:
  ElfImage() = default;
  ~ElfImage();
  ElfImage(const ElfImage &) = delete;
  ElfImage &operator=(const ElfImage &) = delete;

  /// Checks |size| bytes at |bytes| (private to the caller) and maps a copy of them. |bytes| must live until forgetSymbols. |what|
  /// names the object in messages. Codes: MSA_INVALID_ARTIFACT, MSA_UNSUPPORTED, MSA_OUT_OF_MEMORY.
  Status load(const uint8_t *bytes, size_t size, const char *what, const Allocator &allocator);

  /// Address of function |name|, NULL when the object does not define it.
  void *find(const char *name) const;
  /// Ends the use of the bytes that load was given: find answers NULL from here on. The code stays.
  void forgetSymbols();

private:
  struct Function {
    const char *name;
    uint64_t address;
  };
  Function *functions = nullptr; // sorted by name
  size_t functionCount = 0, functionCapacity = 0;
  const Allocator *allocator = nullptr;

  uint8_t *base = nullptr; // where address 0 of the object lies
  uint8_t *reserved = nullptr;
  size_t reservedSize = 0;
};

} // namespace msa::rt

#endif // MSA_RUNTIME_ELF_IMAGE_H
