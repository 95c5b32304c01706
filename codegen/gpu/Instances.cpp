// SPDX-License-Identifier: Apache-2.0
//===- Instances.cpp - which template serves which kernel -----------------===//

#include "codegen/gpu/Instances.h"
#include "codegen/gpu/templates/Attend.h"
#include "codegen/gpu/templates/Gemm.h"
#include "codegen/gpu/templates/Route.h"
#include "codegen/gpu/templates/Rows.h"
#include "dialect/kernel/KernelDialect.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace msa::gpu;

using Cases = llvm::Expected<std::vector<LaunchCase>>;

/// Error without a message: there is no template for such an op.
static llvm::Error noTemplate() { return llvm::createStringError(llvm::inconvertibleErrorCode(), ""); }

static std::string symbols(llvm::ArrayRef<LaunchCase> cases) {
  std::string names;
  for (const LaunchCase &one : cases)
    for (const Launch &launch : one.launches)
      names += (names.empty() ? "'" : ", '") + launch.symbol + "'";
  return names;
}

std::optional<std::vector<LaunchCase>> msa::gpu::lowerWithTemplate(exec::KernelOp kernel, const GPUTarget &target) {
  SmallVector<Operation *> ops;
  for (Operation &op : kernel.getBody().front())
    if (isa_and_present<kernel::KernelDialect>(op.getDialect()))
      ops.push_back(&op);
  if (ops.size() != 1)
    return std::nullopt;
  Cases cases = llvm::TypeSwitch<Operation *, Cases>(ops.front())
                    .Case([&](kernel::AttentionOp op) { return lowerAttention(kernel, op, target); })
                    .Case([&](kernel::MatmulOp op) { return lowerGemm(kernel, op, target); })
                    .Case([&](kernel::RouteScanOp op) { return lowerRouteScan(kernel, op, target); })
                    .Case([&](kernel::GatherOp op) { return lowerGatherRows(kernel, op, target); })
                    .Case([&](kernel::PoolOp op) { return lowerCompress(kernel, op, target); })
                    .Default([](Operation *) { return noTemplate(); });
  auto options = remark::RemarkOpts::name("template").category("lower-kernels-to-gpu");
  if (cases) {
    remark::passed(kernel.getLoc(), options) << ("'" + kernel.getSymName() + "' becomes " + symbols(*cases)).str();
    return std::move(*cases);
  }
  std::string reason = llvm::toString(cases.takeError());
  if (!reason.empty())
    remark::missed(kernel.getLoc(), options) << ("'" + kernel.getSymName() + "' gets no tensor-core kernel: " + reason).str();
  return std::nullopt;
}

std::vector<Instance> msa::gpu::allInstances(MLIRContext &context) {
  std::vector<Instance> instances;
  addAttendInstances(context, instances);
  addGemmInstances(context, instances);
  addRouteInstances(context, instances);
  addMoveInstances(context, instances);
  return instances;
}

//===--- JSON. ---===//

namespace {
using JsonArray = llvm::json::Array;
using llvm::json::Object;

llvm::json::Value toJson(const Term &term) {
  JsonArray scalars;
  for (uint32_t scalar : term.scalars)
    scalars.push_back(scalar);
  return Object{{"factor", term.factor}, {"scalars", std::move(scalars)}, {"divisor", term.divisor}, {"multiplier", term.multiplier}};
}

template <typename Range> JsonArray toJsonArray(const Range &terms) {
  JsonArray array;
  for (const Term &term : terms)
    array.push_back(toJson(term));
  return array;
}

llvm::json::Value toJson(const TensorMap &map) {
  static constexpr const char *types[] = {"f32", "f16", "bf16", "u8"};
  JsonArray box;
  for (uint32_t extent : map.box)
    box.push_back(extent);
  return Object{{"buffer", map.buffer},           {"type", types[static_cast<int>(map.type)]}, {"dims", toJsonArray(map.dims)},
                {"strides", toJsonArray(map.strides)}, {"box", std::move(box)},                     {"swizzle", map.swizzle}};
}

llvm::json::Value toJson(const Launch &launch) {
  JsonArray maps;
  for (const TensorMap &map : launch.tensorMaps)
    maps.push_back(toJson(map));
  Object object{{"symbol", launch.symbol}, {"grid", toJsonArray(launch.grid)},       {"persistent", launch.persistent},          {"block", launch.block},
                {"cluster", launch.cluster}, {"dynamic_shared", launch.dynamicShared}, {"tensor_maps", std::move(maps)}};
  if (launch.workspace)
    object["workspace"] = toJson(*launch.workspace);
  if (launch.workspaceZeroed)
    object["workspace_zeroed"] = toJson(*launch.workspaceZeroed);
  return object;
}
} // namespace

llvm::json::Object msa::gpu::describe(const Instance &instance, ArrayRef<Launch> launches) {
  JsonArray all;
  for (const Launch &launch : launches)
    all.push_back(toJson(launch));
  return llvm::json::Object{{"name", instance.name},
                {"template", instance.family},
                {"sm", instance.target.sm},
                {"parameters", llvm::json::Object(instance.parameters)},
                {"launches", std::move(all)}};
}
