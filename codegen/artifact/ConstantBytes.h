// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_ARTIFACT_CONSTANTBYTES_H
#define MSA_CODEGEN_ARTIFACT_CONSTANTBYTES_H

#include "mlir/IR/BuiltinAttributes.h"
#include "llvm/Support/Error.h"
#include <list>
#include <vector>

namespace msa {

/// The bytes of constants as an artifact stores them: row-major, little-endian, one byte for each boolean. Views of what the
/// attributes hold, or, where their form in memory differs, of bytes that this object owns.
class ConstantBytes {
public:
  /// `what` names the constant in errors. The result lives as long as this object and the attribute's context.
  llvm::Expected<llvm::ArrayRef<char>> get(mlir::ElementsAttr value, llvm::StringRef what);

private:
  std::list<std::vector<char>> made;
};

} // namespace msa

#endif // MSA_CODEGEN_ARTIFACT_CONSTANTBYTES_H
