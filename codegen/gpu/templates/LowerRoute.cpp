// SPDX-License-Identifier: Apache-2.0
//===- LowerRoute.cpp - kernel.route_scan by the route template -----------===//

#include "codegen/gpu/Instances.h"
#include "codegen/gpu/KernelParameters.h"
#include "codegen/gpu/templates/Route.h"
#include "dialect/kernel/TileSizes.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace msa::gpu;

static llvm::Error notServed(const llvm::Twine &why) { return llvm::createStringError(llvm::inconvertibleErrorCode(), why); }

llvm::Expected<BufferView> msa::gpu::contiguousView(exec::KernelOp kernel, Value memref, int64_t alignment, StringRef name) {
  KernelParameters parameters(kernel);
  auto view = memref.getDefiningOp<memref::ViewOp>();
  std::optional<unsigned> buffer = view ? parameters.bufferOf(view.getSource()) : std::nullopt;
  std::optional<Term> offset = view ? parameters.termOf(view.getByteShift()) : std::nullopt;
  if (!buffer || !offset)
    return notServed(name + " is not a contiguous view of a buffer");
  if (offset->factor % alignment != 0)
    return notServed(name + " is not aligned to " + llvm::Twine(alignment) + " bytes");
  return BufferView{*buffer, *offset};
}

static llvm::Expected<RouteProblem> problemOf(msa::exec::KernelOp kernel, msa::kernel::RouteScanOp op) {
  RouteProblem problem;
  auto query = cast<MemRefType>(op.getQuery().getType());
  int64_t heads = query.getDimSize(1);
  if (heads * query.getDimSize(2) != int64_t(op.getRow()) || (heads > 1 && op.getHeadReduce() != msa::Reduce::mean))
    return notServed("its heads are not one inner product: see msa-fold-heads");
  problem.element = op.getElement();
  problem.query = query.getElementType();
  problem.row = op.getRow();
  problem.rows = op.getRows();
  problem.keep = cast<MemRefType>(op.getScores().getType()).getDimSize(1);
  if (ShapedType::isDynamic(problem.keep))
    return notServed("the length of its lists is not static");
  problem.tokenReduce = op.getQueryReduce();
  problem.chunkReduce = op.getChunkReduce();
  problem.scale = op.getScale().convertToDouble() / heads;
  problem.buffers = kernel.getBufferCount();
  problem.scalars = kernel.getScalarCount();

  KernelParameters parameters(kernel);
  struct {
    Value memref;
    BufferView &view;
    int64_t alignment;
    StringRef name;
  } views[] = {{op.getQuery(), problem.queries, 16, "query"},        {op.getMask(), problem.mask, 1, "mask"},
               {op.getDocuments(), problem.documents, 8, "documents"}, {op.getScores(), problem.scores, 4, "scores"},
               {op.getEntries(), problem.entries, 8, "entries"},       {op.getCounts(), problem.counts, 8, "counts"}};
  for (auto &[memref, view, alignment, name] : views) {
    llvm::Expected<BufferView> found = contiguousView(kernel, memref, alignment, name);
    if (!found)
      return found.takeError();
    view = *found;
  }
  if (op.getKeyScales()) {
    llvm::Expected<BufferView> scales = contiguousView(kernel, op.getKeyScales(), 4, "scales");
    if (!scales)
      return scales.takeError();
    problem.keyScales = *scales;
  }
  std::optional<unsigned> keys = parameters.bufferOf(op.getKeys());
  std::optional<Term> tokens = parameters.rowsOf(op.getQuery()), chunks = parameters.rowsOf(op.getDocuments());
  if (!keys || !tokens || !chunks)
    return notServed("its sizes are not products of the kernel's scalars");
  problem.keys = *keys;
  problem.tokens = *tokens;
  problem.chunks = *chunks;
  problem.tokensScalar = scalarOf(*tokens);
  return problem;
}

llvm::Expected<std::vector<LaunchCase>> msa::gpu::lowerRouteScan(exec::KernelOp kernel, kernel::RouteScanOp op, const GPUTarget &target) {
  llvm::Expected<RouteProblem> problem = problemOf(kernel, op);
  if (!problem)
    return problem.takeError();
  llvm::Expected<std::vector<RouteChoice>> choices = pickRoute(*problem, target);
  if (!choices)
    return choices.takeError();
  if (!problem->tokensScalar) {
    // A known number of tokens, or one that no case can tell.
    bool known = problem->tokens.scalars.empty();
    while (choices->size() > 1 && (!known || choices->front().below <= problem->tokens.factor))
      choices->erase(choices->begin());
    choices->resize(1);
    choices->front().below = 0;
  }
  auto module = kernel->getParentOfType<ModuleOp>();
  auto added = module.getBody()->back().getIterator();
  std::vector<LaunchCase> cases;
  for (const RouteChoice &choice : *choices) {
    std::string symbol = (kernel.getSymName() + "_" + choice.instance.name()).str();
    llvm::Expected<std::vector<Launch>> launches = emitRoute(module, symbol, *problem, choice.instance, target);
    if (!launches) {
      // What was begun is of no use.
      while (added != module.getBody()->back().getIterator())
        module.getBody()->back().erase();
      return launches.takeError();
    }
    LaunchCase one;
    if (choice.below) {
      one.scalar = problem->tokensScalar;
      one.below = choice.below;
    }
    one.launches = std::move(*launches);
    cases.push_back(std::move(one));
  }
  return cases;
}

//===--- For those who look at all instances. ---===//

/// A problem with a buffer for each of its parts.
static RouteProblem exampleProblem(MLIRContext &context, Type element, int64_t row, msa::Reduce tokens, msa::Reduce chunks) {
  RouteProblem problem;
  problem.element = element;
  problem.query = Float32Type::get(&context);
  problem.row = row;
  problem.rows = msa::kernel::routeScanRows(row);
  problem.keep = 16;
  problem.tokenReduce = tokens;
  problem.chunkReduce = chunks;
  problem.scale = 0.0625;
  problem.keys = 0;
  unsigned buffer = 1;
  for (BufferView *view : {&problem.queries, &problem.mask, &problem.documents, &problem.scores, &problem.entries, &problem.counts})
    view->buffer = buffer++;
  if (element.getIntOrFloatBitWidth() == 8)
    problem.keyScales = BufferView{buffer++, Term::constant(0)};
  problem.buffers = buffer;
  problem.scalars = 2;
  problem.tokens = Term::scalar(0);
  problem.tokensScalar = 0;
  problem.chunks = Term::scalar(1);
  return problem;
}

static llvm::json::Object parametersOf(const RouteProblem &problem, const RouteInstance &instance) {
  auto name = [](Type type) {
    return type.isF32() ? "f32" : type.isBF16() ? "bf16" : type.isF16() ? "f16" : "f8E4M3FN";
  };
  llvm::json::Object parameters{{"element", name(problem.element)},
                                {"query_element", name(problem.query)},
                                {"row", problem.row},
                                {"rows", problem.rows},
                                {"keep", problem.keep},
                                {"tokens", instance.tokens},
                                {"resident", instance.resident},
                                {"token_reduce", msa::stringifyReduce(problem.tokenReduce)},
                                {"chunk_reduce", msa::stringifyReduce(problem.chunkReduce)},
                                {"scale", problem.scale},
                                {"buffers", problem.buffers},
                                {"scalars", problem.scalars},
                                {"keys", problem.keys},
                                {"queries", problem.queries.buffer},
                                {"mask", problem.mask.buffer},
                                {"documents", problem.documents.buffer},
                                {"scores", problem.scores.buffer},
                                {"entries", problem.entries.buffer},
                                {"counts", problem.counts.buffer},
                                {"tokens_scalar", 0},
                                {"chunks_scalar", 1}};
  if (problem.keyScales)
    parameters["key_scales"] = problem.keyScales->buffer;
  return parameters;
}

void msa::gpu::addRouteInstances(MLIRContext &context, std::vector<Instance> &instances) {
  using msa::Reduce;
  struct {
    StringRef name;
    Type element;
    int64_t row;
    Reduce tokens, chunks;
  } examples[] = {
      {"bf16_1024", BFloat16Type::get(&context), 1024, Reduce::max, Reduce::max},       // eight heads of 128
      {"f16_1024", Float16Type::get(&context), 1024, Reduce::max, Reduce::max},         //
      {"e4m3_1024", Float8E4M3FNType::get(&context), 1024, Reduce::max, Reduce::max},   //
      {"bf16_384", BFloat16Type::get(&context), 384, Reduce::mean, Reduce::mean},       // a sentence encoder's states
      {"bf16_64_last", BFloat16Type::get(&context), 64, Reduce::last, Reduce::max},     // short keys, one token
  };
  for (int sm : {90, 80})
    for (const auto &example : examples) {
      RouteProblem problem = exampleProblem(context, example.element, example.row, example.tokens, example.chunks);
      GPUTarget target{sm};
      llvm::Expected<std::vector<RouteChoice>> choices = pickRoute(problem, target);
      if (!choices) { // e4m3 before sm_90
        llvm::consumeError(choices.takeError());
        continue;
      }
      for (const RouteChoice &choice : *choices) {
        RouteInstance instance = choice.instance;
        instances.push_back({("route_" + example.name + "_" + instance.name() + "_sm" + llvm::Twine(sm)).str(), "route", target,
                             parametersOf(problem, instance), [=](ModuleOp module, StringRef symbol) {
                               return emitRoute(module, symbol, problem, instance, target);
                             }});
      }
    }
}
