// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/KernelParameters.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace msa::gpu;

std::optional<Term> KernelParameters::termOf(Value value) {
  IntegerAttr constant;
  if (matchPattern(value, m_Constant(&constant)))
    return Term::constant(constant.getInt());
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    unsigned number = argument.getArgNumber(), first = kernel.getBufferCount();
    if (argument.getOwner() == &kernel.getBody().front() && number >= first && number < first + kernel.getScalarCount())
      return Term::scalar(number - first);
  }
  auto product = value.getDefiningOp<arith::MulIOp>();
  if (!product)
    return std::nullopt;
  std::optional<Term> a = termOf(product.getLhs()), b = termOf(product.getRhs());
  if (!a || !b)
    return std::nullopt;
  a->factor *= b->factor;
  a->scalars.insert(a->scalars.end(), b->scalars.begin(), b->scalars.end());
  return a;
}

std::optional<unsigned> KernelParameters::bufferOf(Value value) {
  auto argument = dyn_cast<BlockArgument>(value);
  if (argument && argument.getOwner() == &kernel.getBody().front() && argument.getArgNumber() < kernel.getBufferCount())
    return argument.getArgNumber();
  return std::nullopt;
}

std::optional<unsigned> KernelParameters::wholeBufferOf(Value memref) {
  auto view = memref.getDefiningOp<memref::ViewOp>();
  if (!view || !matchPattern(view.getByteShift(), m_Zero()))
    return std::nullopt;
  return bufferOf(view.getSource());
}

std::optional<Term> KernelParameters::rowsOf(Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(0))
    return Term::constant(type.getDimSize(0));
  auto view = memref.getDefiningOp<memref::ViewOp>();
  return view ? termOf(view.getSizes()[0]) : std::nullopt;
}

std::optional<uint32_t> msa::gpu::scalarOf(const Term &term) {
  if (term.scalars.size() == 1 && term == Term::scalar(term.scalars.front()))
    return term.scalars.front();
  return std::nullopt;
}
