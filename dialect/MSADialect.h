// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_DIALECT_MSADIALECT_H
#define MSA_DIALECT_MSADIALECT_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace msa {

/// One field of a bank: rows of `heads x dim` elements of type `element`.
struct BankField {
  llvm::StringRef name;
  int64_t heads;
  int64_t dim;
  mlir::Type element;

  bool operator==(const BankField &other) const {
    return name == other.name && heads == other.heads && dim == other.dim && element == other.element;
  }
  /// For the type uniquer: the name is copied into its allocator.
  BankField allocateInto(mlir::TypeStorageAllocator &allocator) const {
    return {allocator.copyInto(name), heads, dim, element};
  }
};

llvm::hash_code hash_value(const BankField &field);

/// What bank ops read and write: see MSAOps.td.
struct BankResource : public mlir::SideEffects::Resource::Base<BankResource> {
  llvm::StringRef getName() final { return "msa.bank"; }
};

} // namespace msa

#include "dialect/MSADialect.h.inc"

#endif // MSA_DIALECT_MSADIALECT_H
