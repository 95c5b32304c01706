// SPDX-License-Identifier: Apache-2.0
//===- LowerMoves.cpp - kernel.gather and kernel.pool by templates --------===//

#include "codegen/gpu/Instances.h"
#include "codegen/gpu/KernelParameters.h"
#include "codegen/gpu/templates/Rows.h"

using namespace mlir;
using namespace msa::gpu;

static llvm::Error notServed(const llvm::Twine &why) { return llvm::createStringError(llvm::inconvertibleErrorCode(), why); }

llvm::Expected<std::vector<LaunchCase>> msa::gpu::lowerGatherRows(exec::KernelOp kernel, kernel::GatherOp op, const GPUTarget &target) {
  KernelParameters parameters(kernel);
  GatherProblem problem;
  auto type = cast<MemRefType>(op.getResult().getType());
  problem.element = op.getElement();
  problem.result = type.getElementType();
  problem.row = type.getDimSize(1);
  problem.buffers = kernel.getBufferCount();
  problem.scalars = kernel.getScalarCount();
  std::optional<unsigned> field = parameters.bufferOf(op.getField());
  std::optional<Term> count = parameters.rowsOf(op.getRows());
  if (!field || !count)
    return notServed("the number of its rows is not a product of the kernel's scalars");
  problem.field = *field;
  problem.count = *count;
  llvm::Expected<BufferView> rows = contiguousView(kernel, op.getRows(), 8, "rows");
  if (!rows)
    return rows.takeError();
  llvm::Expected<BufferView> output = contiguousView(kernel, op.getResult(), 1, "result");
  if (!output)
    return output.takeError();
  problem.rows = *rows;
  problem.output = *output;
  llvm::Expected<Launch> launch = emitGather(kernel->getParentOfType<ModuleOp>(), (kernel.getSymName() + "_rows").str(), problem, target);
  if (!launch)
    return launch.takeError();
  return std::vector<LaunchCase>{{std::nullopt, 0, {std::move(*launch)}}};
}

llvm::Expected<std::vector<LaunchCase>> msa::gpu::lowerCompress(exec::KernelOp kernel, kernel::PoolOp op, const GPUTarget &target) {
  KernelParameters parameters(kernel);
  CompressProblem problem;
  auto type = cast<MemRefType>(op.getX().getType());
  problem.element = type.getElementType();
  problem.result = cast<MemRefType>(op.getResult().getType()).getElementType();
  problem.heads = type.getDimSize(1);
  problem.dim = type.getDimSize(2);
  problem.reduce = op.getReduce();
  problem.normalize = op.getNormalize();
  problem.epsilon = op.getEpsilon().convertToDouble();
  problem.buffers = kernel.getBufferCount();
  problem.scalars = kernel.getScalarCount();
  std::optional<Term> chunks = parameters.rowsOf(op.getResult());
  if (!chunks)
    return notServed("the number of its chunks is not a product of the kernel's scalars");
  problem.chunks = *chunks;
  llvm::Expected<BufferView> x = contiguousView(kernel, op.getX(), 16, "x");
  if (!x)
    return x.takeError();
  llvm::Expected<BufferView> starts = contiguousView(kernel, op.getStarts(), 8, "starts");
  if (!starts)
    return starts.takeError();
  llvm::Expected<BufferView> output = contiguousView(kernel, op.getResult(), 16, "result");
  if (!output)
    return output.takeError();
  problem.x = *x;
  problem.starts = *starts;
  problem.output = *output;
  llvm::Expected<Launch> launch = emitCompress(kernel->getParentOfType<ModuleOp>(), (kernel.getSymName() + "_chunks").str(), problem, target);
  if (!launch)
    return launch.takeError();
  return std::vector<LaunchCase>{{std::nullopt, 0, {std::move(*launch)}}};
}

//===--- For those who look at all instances. ---===//

static const char *nameOf(Type type) { return type.isF32() ? "f32" : type.isBF16() ? "bf16" : "f16"; }

static Instance makeGather(Type element, Type result, int64_t row, GPUTarget target) {
  GatherProblem problem;
  problem.element = element;
  problem.result = result;
  problem.row = row;
  problem.buffers = 3;
  problem.scalars = 1;
  problem.rows.buffer = 1;
  problem.output.buffer = 2;
  problem.count = Term::scalar(0);
  std::string name = std::string("gather_") + nameOf(element) + "_" + nameOf(result) + "_" + std::to_string(row) + "_sm" + std::to_string(target.sm);
  llvm::json::Object parameters{{"element", nameOf(element)}, {"result", nameOf(result)}, {"row", row},  {"buffers", 3},     {"scalars", 1},
                                {"field", 0},                 {"rows", 1},                {"output", 2}, {"count_scalar", 0}};
  return {name, "gather", target, std::move(parameters), [=](ModuleOp module, StringRef symbol) -> llvm::Expected<std::vector<Launch>> {
            llvm::Expected<Launch> launch = emitGather(module, symbol, problem, target);
            if (!launch)
              return launch.takeError();
            return std::vector<Launch>{std::move(*launch)};
          }};
}

static Instance makeCompress(Type element, int64_t heads, int64_t dim, msa::Reduce reduce, bool normalize, GPUTarget target) {
  CompressProblem problem;
  problem.element = problem.result = element;
  problem.heads = heads;
  problem.dim = dim;
  problem.reduce = reduce;
  problem.normalize = normalize;
  problem.buffers = 3;
  problem.scalars = 1;
  problem.starts.buffer = 1;
  problem.output.buffer = 2;
  problem.chunks = Term::scalar(0);
  std::string name = (llvm::Twine("compress_") + nameOf(element) + "_" + llvm::Twine(heads) + "x" + llvm::Twine(dim) + "_" + msa::stringifyReduce(reduce) +
                      (normalize ? "_normalized" : "") + "_sm" + llvm::Twine(target.sm))
                         .str();
  llvm::json::Object parameters{{"element", nameOf(element)}, {"heads", heads}, {"dim", dim}, {"reduce", msa::stringifyReduce(reduce)}, {"normalize", normalize},
                                {"buffers", 3},               {"scalars", 1},   {"x", 0},     {"starts", 1},                            {"output", 2},
                                {"chunks_scalar", 0}};
  return {name, "compress", target, std::move(parameters), [=](ModuleOp module, StringRef symbol) -> llvm::Expected<std::vector<Launch>> {
            llvm::Expected<Launch> launch = emitCompress(module, symbol, problem, target);
            if (!launch)
              return launch.takeError();
            return std::vector<Launch>{std::move(*launch)};
          }};
}

void msa::gpu::addMoveInstances(MLIRContext &context, std::vector<Instance> &instances) {
  Type f32 = Float32Type::get(&context), bf16 = BFloat16Type::get(&context), f16 = Float16Type::get(&context);
  for (GPUTarget target : {GPUTarget{90}, GPUTarget{80}}) {
    instances.push_back(makeGather(bf16, bf16, 1024, target));
    instances.push_back(makeGather(f16, f32, 1024, target));
    instances.push_back(makeGather(f32, f32, 384, target));
    instances.push_back(makeCompress(bf16, 8, 128, msa::Reduce::mean, true, target));
    instances.push_back(makeCompress(bf16, 8, 128, msa::Reduce::mean, false, target));
    instances.push_back(makeCompress(f32, 6, 64, msa::Reduce::max, false, target));
  }
}
