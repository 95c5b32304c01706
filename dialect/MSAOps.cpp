// SPDX-License-Identifier: Apache-2.0

#include "dialect/MSAOps.h"
#include "mlir/IR/Builders.h"

using namespace mlir;

#define GET_OP_CLASSES
#include "dialect/MSAOps.cpp.inc"

LogicalResult msa::BindOp::verify() { return success(); }
LogicalResult msa::WriteOp::verify() { return success(); }
LogicalResult msa::CompressOp::verify() { return success(); }
LogicalResult msa::RouteOp::verify() { return success(); }
LogicalResult msa::ScoreOp::verify() { return success(); }
LogicalResult msa::GatherOp::verify() { return success(); }
LogicalResult msa::ReadOp::verify() { return success(); }
LogicalResult msa::AttentionOp::verify() { return success(); }
LogicalResult msa::AppendOp::verify() { return success(); }
LogicalResult msa::RopeOp::verify() { return success(); }
LogicalResult msa::MatmulOp::verify() { return success(); }
LogicalResult msa::TakeOp::verify() { return success(); }
LogicalResult msa::UpdateOp::verify() { return success(); }
