// SPDX-License-Identifier: Apache-2.0

#include "codegen/cpu/LinalgBodies.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace msa::cpu;

static std::optional<Combiner> getCombiner(Operation *op) {
  return llvm::TypeSwitch<Operation *, std::optional<Combiner>>(op)
      .Case<arith::AddFOp, math::FmaOp>([](Operation *) { return Combiner::AddF; })
      .Case([](arith::MulFOp) { return Combiner::MulF; })
      .Case([](arith::MaximumFOp) { return Combiner::MaximumF; })
      .Case([](arith::MaxNumFOp) { return Combiner::MaxNumF; })
      .Case([](arith::MinimumFOp) { return Combiner::MinimumF; })
      .Case([](arith::MinNumFOp) { return Combiner::MinNumF; })
      .Case([](arith::AddIOp) { return Combiner::AddI; })
      .Case([](arith::MulIOp) { return Combiner::MulI; })
      .Case([](arith::MaxSIOp) { return Combiner::MaxSI; })
      .Case([](arith::MaxUIOp) { return Combiner::MaxUI; })
      .Case([](arith::MinSIOp) { return Combiner::MinSI; })
      .Case([](arith::MinUIOp) { return Combiner::MinUI; })
      .Case([](arith::AndIOp) { return Combiner::And; })
      .Case([](arith::OrIOp) { return Combiner::Or; })
      .Case([](arith::XOrIOp) { return Combiner::Xor; })
      .Default([](Operation *) { return std::nullopt; });
}

Value msa::cpu::combine(OpBuilder &b, Location loc, Combiner kind, Value lhs, Value rhs) {
  switch (kind) {
  case Combiner::AddF: return arith::AddFOp::create(b, loc, lhs, rhs);
  case Combiner::MulF: return arith::MulFOp::create(b, loc, lhs, rhs);
  case Combiner::MaximumF: return arith::MaximumFOp::create(b, loc, lhs, rhs);
  case Combiner::MaxNumF: return arith::MaxNumFOp::create(b, loc, lhs, rhs);
  case Combiner::MinimumF: return arith::MinimumFOp::create(b, loc, lhs, rhs);
  case Combiner::MinNumF: return arith::MinNumFOp::create(b, loc, lhs, rhs);
  case Combiner::AddI: return arith::AddIOp::create(b, loc, lhs, rhs);
  case Combiner::MulI: return arith::MulIOp::create(b, loc, lhs, rhs);
  case Combiner::MaxSI: return arith::MaxSIOp::create(b, loc, lhs, rhs);
  case Combiner::MaxUI: return arith::MaxUIOp::create(b, loc, lhs, rhs);
  case Combiner::MinSI: return arith::MinSIOp::create(b, loc, lhs, rhs);
  case Combiner::MinUI: return arith::MinUIOp::create(b, loc, lhs, rhs);
  case Combiner::And: return arith::AndIOp::create(b, loc, lhs, rhs);
  case Combiner::Or: return arith::OrIOp::create(b, loc, lhs, rhs);
  case Combiner::Xor: return arith::XOrIOp::create(b, loc, lhs, rhs);
  }
  llvm_unreachable("unknown combiner");
}

TypedAttr msa::cpu::neutralElement(Builder &b, Combiner kind, Type type) {
  unsigned width = type.isIndex() ? 64 : type.getIntOrFloatBitWidth();
  auto infinity = [&](bool negative) -> TypedAttr {
    return FloatAttr::get(type, APFloat::getInf(cast<FloatType>(type).getFloatSemantics(), negative));
  };
  switch (kind) {
  case Combiner::AddF: return FloatAttr::get(type, APFloat::getZero(cast<FloatType>(type).getFloatSemantics(), /*Negative=*/true));
  case Combiner::MulF: return b.getFloatAttr(type, 1.0);
  case Combiner::MaximumF: case Combiner::MaxNumF: return infinity(true);
  case Combiner::MinimumF: case Combiner::MinNumF: return infinity(false);
  case Combiner::AddI: case Combiner::Or: case Combiner::Xor: case Combiner::MaxUI: return b.getIntegerAttr(type, 0);
  case Combiner::MulI: return b.getIntegerAttr(type, 1);
  case Combiner::MaxSI: return b.getIntegerAttr(type, APInt::getSignedMinValue(width));
  case Combiner::MinSI: return b.getIntegerAttr(type, APInt::getSignedMaxValue(width));
  case Combiner::And: case Combiner::MinUI: return b.getIntegerAttr(type, APInt::getAllOnes(width));
  }
  llvm_unreachable("unknown combiner");
}

void msa::cpu::formFMAs(Block &body, RewriterBase &b) {
  for (Operation &op : llvm::make_early_inc_range(body)) {
    if (!isa<arith::AddFOp, arith::SubFOp>(op) || !isa<Float32Type, Float64Type>(op.getResult(0).getType()))
      continue;
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(&op);
    Location loc = op.getLoc();
    auto product = [&](unsigned i) -> arith::MulFOp {
      auto mul = op.getOperand(i).getDefiningOp<arith::MulFOp>();
      return mul && mul->getBlock() == &body && mul->hasOneUse() ? mul : nullptr;
    };
    bool subtract = isa<arith::SubFOp>(op);
    Value a, c, d;
    arith::MulFOp mul = product(0);
    if (mul) {
      a = mul.getLhs(), c = mul.getRhs(), d = op.getOperand(1);
      if (subtract)
        d = arith::NegFOp::create(b, loc, d);
    } else if ((mul = product(1))) {
      a = mul.getLhs(), c = mul.getRhs(), d = op.getOperand(0);
      if (subtract)
        a = arith::NegFOp::create(b, loc, a);
    } else {
      continue;
    }
    b.replaceOpWithNewOp<math::FmaOp>(&op, a, c, d);
    b.eraseOp(mul);
  }
}

std::optional<Combiner> msa::cpu::combinerOf(linalg::GenericOp op, BlockArgument argument) {
  if (!argument.hasOneUse())
    return std::nullopt;
  OpOperand &use = *argument.use_begin();
  Operation *user = use.getOwner();
  std::optional<Combiner> kind = getCombiner(user);
  if (!kind || user->getBlock() != op.getBlock() || !user->hasOneUse() || (isa<math::FmaOp>(user) && use.getOperandNumber() != 2))
    return std::nullopt;
  unsigned output = argument.getArgNumber() - op.getNumDpsInputs();
  OpOperand &end = *user->use_begin();
  if (end.getOwner() != op.getBlock()->getTerminator() || end.getOperandNumber() != output)
    return std::nullopt;
  return kind;
}
