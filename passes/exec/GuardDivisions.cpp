// SPDX-License-Identifier: Apache-2.0
//===- GuardDivisions.cpp - integer divisions that cannot trap ------------===//
//
// ONNX leaves the integer quotient by zero open; the processor raises a signal, and so it does for the smallest number divided by -1 and for
// lanes past the end of a row, which read 0. A kernel must do none of that:
//
//   %q = arith.divsi %x, %d
//
// becomes a division by a divisor that is never 0 or -1, and a choice: 0 where %d is 0, -%x where it is -1.
//
//===----------------------------------------------------------------------===//

#include "passes/exec/EntryLowering.h"

using namespace mlir;

static bool isDivision(Operation *op) {
  return isa<arith::DivSIOp, arith::DivUIOp, arith::RemSIOp, arith::RemUIOp, arith::FloorDivSIOp, arith::CeilDivSIOp, arith::CeilDivUIOp>(op);
}

void msa::exec::guardDivisions(Region &region) {
  SmallVector<Operation *> divisions;
  region.walk([&](Operation *op) {
    APInt number;
    bool harmless = isDivision(op) && matchPattern(op->getOperand(1), m_ConstantInt(&number)) && !number.isZero() && !number.isAllOnes();
    if (isDivision(op) && !harmless && op->getResult(0).getType().isInteger())
      divisions.push_back(op);
  });
  for (Operation *op : divisions) {
    OpBuilder b(op);
    Location loc = op->getLoc();
    Value x = op->getOperand(0), d = op->getOperand(1);
    auto type = cast<IntegerType>(d.getType());
    bool isSigned = isa<arith::DivSIOp, arith::RemSIOp, arith::FloorDivSIOp, arith::CeilDivSIOp>(op);
    bool isRemainder = isa<arith::RemSIOp, arith::RemUIOp>(op);
    Value zero = arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, 0)), one = arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, 1));
    Value isZero = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, d, zero);
    Value special = isZero, isMinusOne;
    if (isSigned) {
      Value minusOne = arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, -1));
      isMinusOne = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, d, minusOne);
      special = arith::OrIOp::create(b, loc, isZero, isMinusOne);
    }
    Value divisor = arith::SelectOp::create(b, loc, special, one, d);
    op->setOperand(1, divisor);
    b.setInsertionPointAfter(op);
    Value result = op->getResult(0), chosen = result;
    if (!isRemainder) { // a remainder by 1 is 0 already
      if (isSigned)
        chosen = arith::SelectOp::create(b, loc, isMinusOne, arith::SubIOp::create(b, loc, zero, x), chosen);
      chosen = arith::SelectOp::create(b, loc, isZero, zero, chosen);
      llvm::SmallPtrSet<Operation *, 3> own;
      for (Operation *user = chosen.getDefiningOp(); user && user != op; user = user->getPrevNode())
        own.insert(user);
      result.replaceAllUsesExcept(chosen, own);
    }
  }
}
