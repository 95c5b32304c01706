// SPDX-License-Identifier: Apache-2.0

#include "codegen/artifact/ConstantBytes.h"
#include "mlir/IR/AsmState.h"
#include "mlir/IR/DialectResourceBlobManager.h"

using namespace mlir;
using namespace msa;

llvm::Expected<ArrayRef<char>> ConstantBytes::get(ElementsAttr value, StringRef what) {
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(value)) {
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    if (!blob)
      return llvm::createStringError("'" + what + "' has no bytes: its resource was dropped");
    return blob->getData();
  }
  auto dense = dyn_cast<DenseElementsAttr>(value);
  if (!dense)
    return llvm::createStringError("'" + what + "' is neither dense nor a resource");
  int64_t count = dense.getNumElements();
  if (dense.getElementType().isInteger(1)) {
    std::vector<char> &bytes = made.emplace_back();
    for (bool flag : dense.getValues<bool>())
      bytes.push_back(flag);
    return ArrayRef<char>(bytes);
  }
  if (!dense.isSplat())
    return dense.getRawData();
  std::vector<char> &bytes = made.emplace_back();
  for (int64_t i = 0; i < count; ++i)
    bytes.insert(bytes.end(), dense.getRawData().begin(), dense.getRawData().end());
  return ArrayRef<char>(bytes);
}
