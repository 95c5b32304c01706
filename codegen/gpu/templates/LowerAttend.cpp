// SPDX-License-Identifier: Apache-2.0
//===- LowerAttend.cpp - which instance attends to what -------------------===//
//
// Up to 16 rows of a kv head are bound by reading keys; some hundreds are too few tiles for all multiprocessors unless their
// keys are split; more are bound by tensor cores.
//
//===----------------------------------------------------------------------===//

#include "codegen/gpu/Instances.h"
#include "codegen/gpu/KernelParameters.h"
#include "codegen/gpu/templates/Attend.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;
using namespace msa::gpu;
using Form = AttendInstance::Form;

static llvm::Error notServed(const llvm::Twine &why) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), why);
}

/// The most heads of a group that a tile of so many rows can have: a tile's queries are whole.
static unsigned packOf(const AttendProblem &problem, unsigned rows) {
  return rows % problem.group() == 0 ? problem.group() : 1;
}

llvm::Expected<std::vector<AttendChoice>> msa::gpu::pickAttend(const AttendProblem &problem, const GPUTarget &target) {
  auto served = [](int64_t dim) { return dim == 32 || dim == 64 || dim == 96 || dim == 128; };
  if (!problem.element.isBF16() && !problem.element.isF16())
    return notServed("tensor cores multiply f16 and bf16, but its operands are of another type");
  if (!served(problem.headDim) || !served(problem.valueDim))
    return notServed("heads of " + llvm::Twine(problem.headDim) + " and " + llvm::Twine(problem.valueDim) +
                     " elements are not of 32, 64, 96 or 128");
  if (!(problem.scale > 0))
    return notServed("its scale is not positive");

  // Tensor maps begin where buffers do.
  bool hopper = target.sm >= 90;
  for (const AttendTensor *tensor : {&problem.query, &problem.key, &problem.value})
    hopper &= tensor->offset == 0;
  std::vector<AttendChoice> choices;
  if (!problem.documents && problem.group() <= 16) {
    unsigned group = problem.group();
    choices.push_back({16 / group + 1, {Form::Decode, group, 16, 128, 1, 64}});
    AttendInstance split{Form::Ampere, packOf(problem, 64), 64, 64, 2, 16};
    if (hopper)
      split = {Form::Hopper, packOf(problem, 128), 128, 128, 2, 16};
    choices.push_back({2 * split.rows / split.pack + 1, split});
  }
  // Wide rows leave registers for fewer scores.
  bool wide = std::max(problem.headDim, problem.valueDim) > 64;
  if (hopper)
    choices.push_back({0, {Form::Hopper, packOf(problem, 128), 128, 128, 2, 1}});
  else
    choices.push_back({0, {Form::Ampere, packOf(problem, 128), 128, wide ? 32u : 64u, 2, 1}});
  return choices;
}

//===--- From the op. ---===//

namespace {
/// A view of a buffer: sizes and strides (in elements) of its dims as terms.
struct StridedView {
  unsigned buffer = 0;
  Term offset; ///< bytes
  SmallVector<Term> sizes, strides;
};
} // namespace

static std::optional<StridedView> viewOf(KernelParameters &parameters, Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  if (auto view = memref.getDefiningOp<memref::ViewOp>()) {
    std::optional<unsigned> buffer = parameters.bufferOf(view.getSource());
    std::optional<Term> offset = parameters.termOf(view.getByteShift());
    if (!buffer || !offset)
      return std::nullopt;
    StridedView result{*buffer, *offset, {}, {}};
    auto dynamic = view.getSizes().begin();
    for (int64_t size : type.getShape()) {
      std::optional<Term> term = Term::constant(size);
      if (ShapedType::isDynamic(size))
        term = parameters.termOf(*dynamic++);
      if (!term)
        return std::nullopt;
      result.sizes.push_back(*term);
    }
    result.strides.assign(result.sizes.size(), Term::constant(1));
    for (size_t i = result.sizes.size(); i-- > 1;)
      result.strides[i - 1] = product(result.strides[i], result.sizes[i]);
    return result;
  }
  if (auto transpose = memref.getDefiningOp<memref::TransposeOp>()) {
    std::optional<StridedView> view = viewOf(parameters, transpose.getIn());
    if (!view)
      return std::nullopt;
    StridedView result{view->buffer, view->offset, {}, {}};
    for (unsigned i = 0; i < transpose.getPermutation().getNumResults(); ++i) {
      unsigned from = transpose.getPermutation().getDimPosition(i);
      result.sizes.push_back(view->sizes[from]);
      result.strides.push_back(view->strides[from]);
    }
    return result;
  }
  if (auto part = memref.getDefiningOp<memref::SubViewOp>()) {
    std::optional<StridedView> view = viewOf(parameters, part.getSource());
    if (!view)
      return std::nullopt;
    StridedView result{view->buffer, view->offset, {}, {}};
    llvm::SmallBitVector dropped = part.getDroppedDims();
    int64_t bytes = type.getElementTypeBitWidth() / 8;
    for (unsigned i = 0; i < view->sizes.size(); ++i) {
      std::optional<int64_t> from = getConstantIntValue(part.getMixedOffsets()[i]),
                             step = getConstantIntValue(part.getMixedStrides()[i]);
      if (!from || !step)
        return std::nullopt;
      if (*from != 0) {
        if (!view->strides[i].scalars.empty() || !result.offset.scalars.empty())
          return std::nullopt;
        result.offset.factor += *from * view->strides[i].factor * bytes;
      }
      if (dropped[i])
        continue;
      OpFoldResult size = part.getMixedSizes()[i];
      std::optional<int64_t> known = getConstantIntValue(size);
      std::optional<Term> term = known ? Term::constant(*known) : parameters.termOf(cast<Value>(size));
      if (!term)
        return std::nullopt;
      result.sizes.push_back(*term);
      result.strides.push_back(product(view->strides[i], *step));
    }
    return result;
  }
  return std::nullopt;
}

static llvm::Expected<AttendProblem> problemOf(msa::exec::KernelOp kernel, msa::kernel::AttentionOp op) {
  if (op.getMask())
    return notServed("it has a mask");
  AttendProblem problem;
  auto query = cast<MemRefType>(op.getQuery().getType()), key = cast<MemRefType>(op.getKey().getType()),
       value = cast<MemRefType>(op.getValue().getType()), result = cast<MemRefType>(op.getResult().getType());
  if (key.getElementType() != query.getElementType() || value.getElementType() != query.getElementType())
    return notServed("its operands differ in type, and none is rounded to another's");
  problem.element = query.getElementType();
  problem.result = result.getElementType();
  problem.heads = query.getDimSize(2);
  problem.headDim = query.getDimSize(3);
  problem.kvHeads = key.getDimSize(2);
  problem.valueDim = value.getDimSize(3);
  problem.scale = op.getScale().convertToDouble();
  problem.causal = op.getCausal();
  problem.buffers = kernel.getBufferCount();
  problem.scalars = kernel.getScalarCount();

  KernelParameters parameters(kernel);
  SmallVector<StridedView> views;
  for (auto [memref, tensor, name] : {std::tuple(op.getQuery(), &problem.query, "query"),
                                      {op.getKey(), &problem.key, "key"},
                                      {op.getValue(), &problem.value, "value"},
                                      {op.getResult(), &problem.output, "result"}}) {
    std::optional<StridedView> view = viewOf(parameters, memref);
    if (!view || !view->offset.scalars.empty())
      return notServed(llvm::Twine("its ") + name + " is no view at a known place of a buffer");
    bool aligned = view->offset.factor % 16 == 0 && view->strides[3] == Term::constant(1);
    for (unsigned i = 0; i < 3; ++i)
      aligned &= view->strides[i].factor % 8 == 0;
    if (!aligned)
      return notServed(llvm::Twine("the rows of its ") + name + " are not aligned to 16 bytes");
    *tensor = {view->buffer, view->offset.factor, view->strides[0], view->strides[1], view->strides[2]};
    views.push_back(std::move(*view));
  }
  problem.batches = views[0].sizes[0];
  problem.queries = views[0].sizes[1];
  problem.keys = views[1].sizes[1];
  if (op.getDocuments()) {
    problem.documents = parameters.wholeBufferOf(op.getDocuments());
    if (!problem.documents)
      return notServed("its documents are not a whole buffer of the kernel");
  }
  return problem;
}

llvm::Expected<std::vector<LaunchCase>> msa::gpu::lowerAttention(exec::KernelOp kernel, kernel::AttentionOp op,
                                                                 const GPUTarget &target) {
  llvm::Expected<AttendProblem> problem = problemOf(kernel, op);
  if (!problem)
    return problem.takeError();
  llvm::Expected<std::vector<AttendChoice>> choices = pickAttend(*problem, target);
  if (!choices)
    return choices.takeError();
  std::optional<uint32_t> scalar = scalarOf(problem->queries);
  if (!scalar) {
    // A known number of queries, or one that no case can tell.
    bool known = problem->queries.scalars.empty();
    while (choices->size() > 1 && (!known || choices->front().below <= problem->queries.factor))
      choices->erase(choices->begin());
    choices->resize(1);
    choices->front().below = 0;
  }

  auto module = kernel->getParentOfType<ModuleOp>();
  Operation *last = &module.getBody()->back();
  std::vector<LaunchCase> cases;
  auto add = [&](const AttendInstance &instance, std::optional<uint32_t> scalar, int64_t below) -> llvm::Error {
    std::string symbol = (kernel.getSymName() + "_" + instance.name()).str();
    llvm::Expected<std::vector<Launch>> launches = emitAttend(module, symbol, *problem, instance, target);
    if (!launches)
      return launches.takeError();
    LaunchCase one;
    if (below) {
      one.scalar = scalar;
      one.below = below;
    }
    one.launches = std::move(*launches);
    cases.push_back(std::move(one));
    return llvm::Error::success();
  };
  llvm::Error error = llvm::Error::success();
  // Without keys there is nothing for a tensor map to name, but results all the same.
  bool maps = llvm::any_of(*choices, [](const AttendChoice &choice) { return choice.instance.form == Form::Hopper; });
  if (std::optional<uint32_t> keys = scalarOf(problem->keys); keys && maps && keys != scalar)
    error = add({Form::Ampere, 1, 64, 32, 1, 1}, keys, 1);
  for (const AttendChoice &choice : *choices)
    if (!error)
      error = add(choice.instance, scalar, choice.below);
  if (error) {
    while (last != &module.getBody()->back())
      module.getBody()->back().erase();
    return std::move(error);
  }
  return cases;
}

//===--- The table. ---===//

static std::string show(Type type) { return type.isF32() ? "f32" : type.isBF16() ? "bf16" : "f16"; }

static llvm::json::Object parametersOf(const AttendProblem &problem, const AttendInstance &instance) {
  static constexpr const char *forms[] = {"hopper", "ampere", "decode"};
  llvm::json::Object parameters{{"form", forms[static_cast<int>(instance.form)]},
                                {"rows", instance.rows},
                                {"block", instance.keys},
                                {"pack", instance.pack},
                                {"stages", instance.stages},
                                {"splits", instance.splits},
                                {"element", show(problem.element)},
                                {"result", show(problem.result)},
                                {"causal", problem.causal},
                                {"scale", problem.scale},
                                {"heads", problem.heads},
                                {"kv_heads", problem.kvHeads},
                                {"head_dim", problem.headDim},
                                {"value_dim", problem.valueDim},
                                {"buffers", problem.buffers},
                                {"scalars", problem.scalars},
                                {"query", problem.query.buffer},
                                {"key", problem.key.buffer},
                                {"value", problem.value.buffer},
                                {"output", problem.output.buffer},
                                {"batches_scalar", 0},
                                {"queries_scalar", 1},
                                {"keys_scalar", 2}};
  if (problem.documents)
    parameters["documents"] = *problem.documents;
  return parameters;
}

void msa::gpu::addAttendInstances(MLIRContext &context, std::vector<Instance> &instances) {
  Type f32 = Float32Type::get(&context), bf16 = BFloat16Type::get(&context), f16 = Float16Type::get(&context);
  struct {
    StringRef name;
    Type element, result;
    int64_t heads, kvHeads, dim;
    bool causal, documents;
  } examples[] = {
      {"bf16_128", bf16, bf16, 8, 2, 128, true, false},         {"f16_128", f16, f16, 8, 2, 128, true, false},
      {"bf16_64_full", bf16, bf16, 4, 4, 64, false, false},     {"f16_96", f16, f32, 6, 2, 96, true, false},
      {"bf16_32", bf16, f32, 8, 1, 32, true, false},            {"bf16_128_documents", bf16, bf16, 8, 2, 128, true, true},
      {"f16_64_documents_full", f16, f16, 4, 2, 64, false, true},
  };
  for (int sm : {90, 80})
    for (const auto &example : examples) {
      AttendProblem problem;
      problem.element = example.element;
      problem.result = example.result;
      problem.heads = example.heads;
      problem.kvHeads = example.kvHeads;
      problem.headDim = problem.valueDim = example.dim;
      problem.scale = 1 / std::sqrt(double(example.dim));
      problem.causal = example.causal;
      problem.batches = Term::scalar(0);
      problem.queries = Term::scalar(1);
      problem.keys = Term::scalar(2);
      problem.buffers = example.documents ? 5 : 4;
      problem.scalars = 3;
      problem.query = AttendTensor::contiguous(0, problem.queries, example.heads, example.dim);
      problem.key = AttendTensor::contiguous(1, problem.keys, example.kvHeads, example.dim);
      problem.value = AttendTensor::contiguous(2, problem.keys, example.kvHeads, example.dim);
      problem.output = AttendTensor::contiguous(3, problem.queries, example.heads, example.dim);
      if (example.documents)
        problem.documents = 4;
      GPUTarget target{sm};
      for (const AttendChoice &choice : llvm::cantFail(pickAttend(problem, target))) {
        AttendInstance instance = choice.instance;
        instances.push_back({("attend_" + example.name + "_" + instance.name() + "_sm" + llvm::Twine(sm)).str(), "attend",
                             target, parametersOf(problem, instance), [=](ModuleOp module, StringRef symbol) {
                               return emitAttend(module, symbol, problem, instance, target);
                             }});
      }
    }
}
