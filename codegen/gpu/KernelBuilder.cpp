// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/KernelBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Matchers.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace msa::gpu;

//===--- Expr. ---===//

std::optional<int64_t> Expr::constant() const {
  llvm::APInt value;
  if (held && matchPattern(held, m_ConstantInt(&value)))
    return value.getSExtValue();
  return std::nullopt;
}

Expr Expr::likeInteger(int64_t number) const {
  return isa<FloatType>(type()) ? likeFloat(static_cast<double>(number)) : kernel->integer(number, type());
}

Expr Expr::likeFloat(double number) const {
  OpBuilder &b = kernel->getBuilder();
  return {*kernel, arith::ConstantOp::create(b, kernel->getLoc(), b.getFloatAttr(cast<FloatType>(type()), number))};
}

Expr msa::gpu::detail::binary(Binary kind, const Expr &a, const Expr &b) {
  KernelBuilder &k = a.builder();
  OpBuilder &builder = k.getBuilder();
  Location loc = k.getLoc();
  assert(a.type() == b.type() && "operands of one type");
  auto make = [&]<typename Op>() { return Expr(k, builder.createOrFold<Op>(loc, a.value(), b.value())); };
  auto compare = [&](arith::CmpIPredicate predicate) {
    return Expr(k, builder.createOrFold<arith::CmpIOp>(loc, predicate, a.value(), b.value()));
  };
  auto compareF = [&](arith::CmpFPredicate predicate) { return Expr(k, arith::CmpFOp::create(builder, loc, predicate, a, b)); };
  if (isa<FloatType>(a.type())) {
    switch (kind) {
    case Binary::Add:
      return make.operator()<arith::AddFOp>();
    case Binary::Sub:
      return make.operator()<arith::SubFOp>();
    case Binary::Mul:
      return make.operator()<arith::MulFOp>();
    case Binary::Div:
      return make.operator()<arith::DivFOp>();
    case Binary::Less:
      return compareF(arith::CmpFPredicate::OLT);
    case Binary::LessEqual:
      return compareF(arith::CmpFPredicate::OLE);
    case Binary::Equal:
      return compareF(arith::CmpFPredicate::OEQ);
    case Binary::NotEqual:
      return compareF(arith::CmpFPredicate::UNE);
    default:
      llvm_unreachable("an operator of integers on floats");
    }
  }
  switch (kind) {
  case Binary::Add:
    return make.operator()<arith::AddIOp>();
  case Binary::Sub:
    return make.operator()<arith::SubIOp>();
  case Binary::Mul:
    return make.operator()<arith::MulIOp>();
  case Binary::Div:
    return make.operator()<arith::DivUIOp>();
  case Binary::Rem:
    return make.operator()<arith::RemUIOp>();
  case Binary::And:
    return make.operator()<arith::AndIOp>();
  case Binary::Or:
    return make.operator()<arith::OrIOp>();
  case Binary::Xor:
    return make.operator()<arith::XOrIOp>();
  case Binary::Shl:
    return make.operator()<arith::ShLIOp>();
  case Binary::Shr:
    return make.operator()<arith::ShRUIOp>();
  case Binary::Less:
    return compare(arith::CmpIPredicate::slt);
  case Binary::LessEqual:
    return compare(arith::CmpIPredicate::sle);
  case Binary::Equal:
    return compare(arith::CmpIPredicate::eq);
  case Binary::NotEqual:
    return compare(arith::CmpIPredicate::ne);
  }
  llvm_unreachable("unknown operator");
}

Expr msa::gpu::logicalNot(const Expr &condition) { return condition ^ condition.like(1); }

Expr msa::gpu::operator-(const Expr &a) {
  KernelBuilder &k = a.builder();
  if (isa<FloatType>(a.type()))
    return {k, arith::NegFOp::create(k.getBuilder(), k.getLoc(), a)};
  return a.like(0) - a;
}

llvm::SmallVector<Value *> State::slots() const {
  llvm::SmallVector<Value *> all;
  for (const auto &variable : variables)
    variable(all);
  return all;
}

llvm::SmallVector<Value> State::values() const {
  return llvm::map_to_vector(slots(), [](Value *slot) { return *slot; });
}

void State::assign(ValueRange values) {
  for (auto [slot, value] : llvm::zip_equal(slots(), values))
    *slot = value;
}

//===--- The function. ---===//

KernelBuilder::KernelBuilder(ModuleOp module, StringRef name, const GPUTarget &target, const Signature &signature, Location loc)
    : b(module.getContext()), loc(loc), module(module), target(target), signature(signature) {
  b.setInsertionPointToEnd(module.getBody());
  Type pointer = LLVM::LLVMPointerType::get(b.getContext()), global = LLVM::LLVMPointerType::get(b.getContext(), 1);
  SmallVector<Type> parameters(signature.buffers, global);
  parameters.append(signature.scalars + 1, b.getI64Type()); // and the tiles
  parameters.push_back(global);                              // workspace
  unsigned firstMap = parameters.size();
  parameters.append(signature.tensorMaps, pointer);
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(b.getContext()), parameters);
  function = LLVM::LLVMFuncOp::create(b, loc, name, type);
  function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), b.getUnitAttr());
  function->setAttr(NVVM::NVVMDialect::getReqntidAttrName(), b.getDenseI32ArrayAttr({static_cast<int32_t>(signature.threads)}));
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), b.getI32IntegerAttr(signature.minBlocks));
  if (signature.cluster > 1)
    function->setAttr(NVVM::NVVMDialect::getClusterDimAttrName(),
                      b.getDenseI32ArrayAttr({static_cast<int32_t>(signature.cluster), 1, 1}));
  auto map = LLVM::LLVMArrayType::get(b.getI8Type(), 128);
  for (unsigned i = firstMap; i < parameters.size(); ++i) {
    function.setArgAttr(i, LLVM::LLVMDialect::getByValAttrName(), TypeAttr::get(map));
    function.setArgAttr(i, LLVM::LLVMDialect::getAlignAttrName(), b.getI64IntegerAttr(64));
    function.setArgAttr(i, NVVM::NVVMDialect::getGridConstantAttrName(), b.getUnitAttr());
  }
  Block *entry = function.addEntryBlock(b);
  b.setInsertionPointToStart(entry);
  b.setInsertionPoint(LLVM::ReturnOp::create(b, loc, ValueRange()));
}

llvm::Expected<int64_t> KernelBuilder::finish() {
  // PTX for sm_80 runs on everything newer as well, and 8.6, 8.9 and 12.0 have the least.
  int64_t limit = (target.sm >= 90 ? 227 : 99) * 1024;
  if (plannedShared > limit)
    return llvm::createStringError(llvm::inconvertibleErrorCode(),
                                   "kernel '" + function.getName() + "' needs " + llvm::Twine(plannedShared) +
                                       " bytes of shared memory: '" + target.name() + "' has " + llvm::Twine(limit));
  return plannedShared;
}

Expr KernelBuilder::atEntry(Expr &cache, function_ref<Expr()> make) {
  if (!cache) {
    OpBuilder::InsertionGuard guard(b);
    if (lastAtEntry)
      b.setInsertionPointAfter(lastAtEntry);
    else
      b.setInsertionPointToStart(&function.getBody().front());
    cache = make();
    lastAtEntry = cache.value().getDefiningOp();
  }
  return cache;
}

//===--- Parameters. ---===//

Array KernelBuilder::global(unsigned buffer, Type element) {
  assert(buffer < signature.buffers);
  return {function.getBody().getArgument(buffer), element};
}

/// Fields of msa_span_list and msa_span (runtime/kernel_abi.h).
static constexpr int64_t spanListRows = 16;

Array KernelBuilder::span(unsigned buffer, Type element) {
  Type global = LLVM::LLVMPointerType::get(b.getContext(), 1);
  Value spans = LLVM::LoadOp::create(b, loc, global, function.getBody().getArgument(buffer), 8);
  // Without rows there is no span to read: any address will do, for nothing is read there.
  Expr some = constant64(0) < spanRows(buffer);
  Value place = arith::SelectOp::create(b, loc, some, spans, function.getBody().getArgument(buffer));
  return {LLVM::LoadOp::create(b, loc, global, place, 8), element};
}

Expr KernelBuilder::spanRows(unsigned buffer) {
  return load({function.getBody().getArgument(buffer), i64()}, constant(spanListRows / 8));
}

Expr KernelBuilder::scalar64(unsigned index) {
  assert(index < signature.scalars);
  return wrap(function.getBody().getArgument(signature.buffers + index));
}

Expr KernelBuilder::scalar(unsigned index) { return toI32(scalar64(index)); }
Expr KernelBuilder::tiles64() { return wrap(function.getBody().getArgument(signature.buffers + signature.scalars)); }

Expr KernelBuilder::evaluate(const Term &term) {
  Expr product = constant64(term.factor);
  for (uint32_t index : term.scalars)
    product = product * scalar64(index);
  return (product + (term.divisor - 1)) / term.divisor * term.multiplier;
}

Value KernelBuilder::workspace() { return function.getBody().getArgument(signature.buffers + signature.scalars + 1); }

Value KernelBuilder::tensorMap(unsigned index) {
  assert(index < signature.tensorMaps);
  return function.getBody().getArgument(signature.buffers + signature.scalars + 2 + index);
}

//===--- Who am I. ---===//

Expr KernelBuilder::thread() {
  return atEntry(threadValue, [&] { return wrap(NVVM::ThreadIdXOp::create(b, loc, i32())); });
}
Expr KernelBuilder::lane() {
  Expr all = thread();
  return atEntry(laneValue, [&] { return all & 31; });
}
Expr KernelBuilder::warp() {
  Expr all = thread();
  return atEntry(warpValue, [&] { return shuffleIndex(all >> 5, constant(0)); });
}
Expr KernelBuilder::warpgroup() {
  Expr all = warp();
  return atEntry(warpgroupValue, [&] { return all >> 2; });
}
Expr KernelBuilder::warpInGroup() { return warp() & 3; }
Expr KernelBuilder::threadInGroup() { return thread() & 127; }

Expr KernelBuilder::block(unsigned axis) {
  return atEntry(blockValue[axis], [&] {
    if (axis == 0)
      return wrap(NVVM::BlockIdXOp::create(b, loc, i32()));
    return axis == 1 ? wrap(NVVM::BlockIdYOp::create(b, loc, i32())) : wrap(NVVM::BlockIdZOp::create(b, loc, i32()));
  });
}

Expr KernelBuilder::grid(unsigned axis) {
  return atEntry(gridValue[axis], [&] {
    if (axis == 0)
      return wrap(NVVM::GridDimXOp::create(b, loc, i32()));
    return axis == 1 ? wrap(NVVM::GridDimYOp::create(b, loc, i32())) : wrap(NVVM::GridDimZOp::create(b, loc, i32()));
  });
}

Expr KernelBuilder::clusterRank() {
  return atEntry(clusterRankValue, [&] { return wrap(NVVM::ClusterId::create(b, loc, i32())); });
}

Expr KernelBuilder::elect() { return lane() == 0; }

//===--- Types and constants. ---===//

Expr KernelBuilder::integer(int64_t value, Type type) {
  return wrap(arith::ConstantOp::create(b, loc, b.getIntegerAttr(type, type.isInteger(1) ? value & 1 : value)));
}
Expr KernelBuilder::constantF(double value) { return wrap(arith::ConstantOp::create(b, loc, b.getF32FloatAttr(static_cast<float>(value)))); }

Expr KernelBuilder::toI64(Expr value) {
  return value.type().isInteger(64) ? value : wrap(b.createOrFold<arith::ExtSIOp>(loc, i64(), value.value()));
}

Expr KernelBuilder::toI32(Expr value) {
  if (value.type().isInteger(32))
    return value;
  if (value.type().isInteger(64))
    return wrap(b.createOrFold<arith::TruncIOp>(loc, i32(), value.value()));
  return wrap(b.createOrFold<arith::ExtUIOp>(loc, i32(), value.value()));
}

Expr KernelBuilder::bitcast(Expr value, Type type) { return wrap(arith::BitcastOp::create(b, loc, type, value)); }

//===--- Arithmetic. ---===//

Expr KernelBuilder::min(Expr x, Expr y) {
  if (isa<FloatType>(x.type()))
    return wrap(arith::MinNumFOp::create(b, loc, x, y));
  return wrap(b.createOrFold<arith::MinSIOp>(loc, x.value(), y.value()));
}

Expr KernelBuilder::max(Expr x, Expr y) {
  if (isa<FloatType>(x.type()))
    return wrap(arith::MaxNumFOp::create(b, loc, x, y));
  return wrap(b.createOrFold<arith::MaxSIOp>(loc, x.value(), y.value()));
}

Expr KernelBuilder::select(Expr condition, Expr x, Expr y) {
  return wrap(b.createOrFold<arith::SelectOp>(loc, condition.value(), x.value(), y.value()));
}

Expr KernelBuilder::fma(Expr x, Expr y, Expr z) { return wrap(math::FmaOp::create(b, loc, x, y, z)); }
Expr KernelBuilder::permute(Expr x, Expr y, int64_t selector) {
  return ptx("prmt.b32 $0, $1, $2, $3;", i32(), {x.value(), y.value(), constant(selector).value()}, Effect::Pure)[0];
}
Expr KernelBuilder::sqrt(Expr x) { return wrap(math::SqrtOp::create(b, loc, x)); }
Expr KernelBuilder::abs(Expr x) { return wrap(math::AbsFOp::create(b, loc, x)); }
Expr KernelBuilder::exp2Approx(Expr x) { return ptx("ex2.approx.ftz.f32 $0, $1;", f32(), x.value(), Effect::Pure)[0]; }
Expr KernelBuilder::rcpApprox(Expr x) { return ptx("rcp.approx.ftz.f32 $0, $1;", f32(), x.value(), Effect::Pure)[0]; }
Expr KernelBuilder::rsqrtApprox(Expr x) { return ptx("rsqrt.approx.ftz.f32 $0, $1;", f32(), x.value(), Effect::Pure)[0]; }

static bool isE4M3(Type type) { return isa<Float8E4M3FNType>(type); }

Expr KernelBuilder::toF32(Expr value) {
  if (value.type().isF32())
    return value;
  if (value.type().isBF16())
    return bitcast(wrap(arith::ExtUIOp::create(b, loc, i32(), bitcast(value, b.getI16Type()))) << 16, f32());
  if (value.type().isF16())
    return ptx("cvt.f32.f16 $0, $1;", f32(), bitcast(value, b.getI16Type()).value(), Effect::Pure)[0];
  assert(isE4M3(value.type()) && "expected a float type that kernels store");
  Value wide = arith::ExtUIOp::create(b, loc, b.getI16Type(), bitcast(value, b.getI8Type()));
  Expr two = ptx("cvt.rn.f16x2.e4m3x2 $0, $1;", i32(), wide, Effect::Pure)[0];
  return unpack(two, f16()).first;
}

Expr KernelBuilder::fromF32(Expr value, Type element) {
  if (element.isF32())
    return value;
  if (isE4M3(element)) {
    Expr byte = toI32(packE4M3(value, constantF(0), constantF(0), constantF(0)));
    return bitcast(wrap(arith::TruncIOp::create(b, loc, b.getI8Type(), byte)), element);
  }
  StringRef name = element.isBF16() ? "cvt.rn.bf16.f32 $0, $1;" : "cvt.rn.f16.f32 $0, $1;";
  // PTX for sm_80 before 7.8 has the packed form alone.
  if (element.isBF16())
    return bitcast(wrap(arith::TruncIOp::create(b, loc, b.getI16Type(), pack(value, constantF(0), element))), element);
  return bitcast(ptx(name, b.getI16Type(), value.value(), Effect::Pure)[0], element);
}

Expr KernelBuilder::pack(Expr low, Expr high, Type element) {
  assert(element.isBF16() || element.isF16());
  StringRef text = element.isBF16() ? "cvt.rn.bf16x2.f32 $0, $1, $2;" : "cvt.rn.f16x2.f32 $0, $1, $2;";
  return ptx(text, i32(), {high.value(), low.value()}, Effect::Pure)[0];
}

std::pair<Expr, Expr> KernelBuilder::unpack(Expr packed, Type element) {
  if (element.isBF16())
    return {bitcast(packed << 16, f32()), bitcast(packed & 0xFFFF0000, f32())};
  assert(element.isF16());
  auto half = [&](Expr bits) {
    Value low = arith::TruncIOp::create(b, loc, b.getI16Type(), bits);
    return ptx("cvt.f32.f16 $0, $1;", f32(), low, Effect::Pure)[0];
  };
  return {half(packed), half(packed >> 16)};
}

Expr KernelBuilder::packE4M3(Expr x, Expr y, Expr z, Expr w) {
  auto two = [&](Expr low, Expr high) {
    Expr bits = ptx("cvt.rn.satfinite.e4m3x2.f32 $0, $1, $2;", b.getI16Type(), {high.value(), low.value()}, Effect::Pure)[0];
    return wrap(arith::ExtUIOp::create(b, loc, i32(), bits));
  };
  return two(x, y) | (two(z, w) << 16);
}

SmallVector<Expr> KernelBuilder::unpackE4M3(Expr packed) {
  SmallVector<Expr> values;
  for (int shift : {0, 16}) {
    Value two = arith::TruncIOp::create(b, loc, b.getI16Type(), packed >> shift);
    auto [low, high] = unpack(ptx("cvt.rn.f16x2.e4m3x2 $0, $1;", i32(), two, Effect::Pure)[0], f16());
    values.append({low, high});
  }
  return values;
}

//===--- Control flow. ---===//

void KernelBuilder::forLoop(Expr lo, Expr hi, Expr step, State state, function_ref<void(Expr)> body) {
  auto loop = scf::ForOp::create(b, loc, lo, hi, step, state.values());
  {
    OpBuilder::InsertionGuard guard(b);
    Block *block = loop.getBody();
    bool terminated = !block->empty() && block->back().hasTrait<OpTrait::IsTerminator>();
    if (terminated)
      b.setInsertionPoint(&block->back());
    else
      b.setInsertionPointToEnd(block);
    state.assign(loop.getRegionIterArgs());
    body(wrap(loop.getInductionVar()));
    if (!terminated)
      scf::YieldOp::create(b, loc, state.values());
  }
  state.assign(loop.getResults());
}

void KernelBuilder::ifThen(Expr condition, State state, function_ref<void()> then) {
  ifThenElse(condition, state, then, {});
}

void KernelBuilder::ifThenElse(Expr condition, State state, function_ref<void()> then, function_ref<void()> otherwise) {
  SmallVector<Value> before = state.values();
  bool hasElse = otherwise || !before.empty();
  auto branch = scf::IfOp::create(b, loc, TypeRange(ValueRange(before)), condition, hasElse);
  auto emit = [&](Block *block, function_ref<void()> body) {
    OpBuilder::InsertionGuard guard(b);
    bool terminated = !block->empty() && block->back().hasTrait<OpTrait::IsTerminator>();
    if (terminated)
      b.setInsertionPoint(&block->back());
    else
      b.setInsertionPointToEnd(block);
    state.assign(before);
    if (body)
      body();
    if (!terminated)
      scf::YieldOp::create(b, loc, state.values());
  };
  emit(branch.thenBlock(), then);
  if (hasElse)
    emit(branch.elseBlock(), otherwise);
  state.assign(branch.getResults());
}

void KernelBuilder::noUnroll() { ptx(".pragma \"nounroll\";", {}, {}, Effect::Ordered); }

void KernelBuilder::whileLoop(State state, function_ref<Expr()> condition, function_ref<void()> body) {
  SmallVector<Value> init = state.values();
  auto loop = scf::WhileOp::create(
      b, loc, TypeRange(ValueRange(init)), init,
      [&](OpBuilder &, Location, ValueRange values) {
        state.assign(values);
        Expr holds = condition();
        scf::ConditionOp::create(b, loc, holds, state.values());
      },
      [&](OpBuilder &, Location, ValueRange values) {
        state.assign(values);
        body();
        scf::YieldOp::create(b, loc, state.values());
      });
  b.setInsertionPointAfter(loop);
  state.assign(loop.getResults());
}

void KernelBuilder::forItems(Expr items, unsigned axes, function_ref<void(Expr)> body) {
  assert(axes >= 1 && axes <= 3);
  // Read where they are used: what is held over the body is held in registers.
  auto number = [&](StringRef ofBlock) {
    auto read = [&](StringRef name, unsigned axis) {
      Expr value = ptx(("mov.u32 $0, %" + name + "." + StringRef("xyz").substr(axis, 1) + ";").str(), i32(), {}, Effect::Ordered)[0];
      return items.type().isInteger(64) ? toI64(value) : value;
    };
    Expr all = read(ofBlock, axes - 1);
    for (unsigned axis = axes - 1; axis-- > 0;)
      all = ofBlock == "ctaid" ? all * read("nctaid", axis) + read("ctaid", axis) : all * read("nctaid", axis);
    return all;
  };
  Expr item = number("ctaid");
  // What is computed from the thread's number is made anew for each item as well.
  std::array<Expr, 4> entry = {thread(), lane(), warp(), warpgroup()};
  whileLoop(State(item), [&] { return item < items; },
            [&] {
              noUnroll();
              threadValue = entry[0], laneValue = entry[1], warpValue = entry[2];
              pin(threadValue, laneValue, warpValue);
              body(item);
              item += number("nctaid");
            });
  threadValue = entry[0], laneValue = entry[1], warpValue = entry[2];
}

void KernelBuilder::roles(ArrayRef<Role> roles) {
  [[maybe_unused]] unsigned all = 0;
  for (const Role &role : roles)
    all += role.warpgroups * 128;
  assert(all == signature.threads && "roles cover the CTA");
  Expr group = warpgroup();
  std::function<void(unsigned, unsigned)> emit = [&](unsigned index, unsigned first) {
    const Role &role = roles[index];
    auto body = [&] {
      if (role.registers) {
        // Up from what the kernel is compiled for means taking from the pool that others give to.
        int64_t compiled = 65536 / signature.threads / signature.minBlocks / 8 * 8;
        StringRef text = role.registers < compiled ? "setmaxnreg.dec.sync.aligned.u32 " : "setmaxnreg.inc.sync.aligned.u32 ";
        ptx((text + llvm::Twine(role.registers) + ";").str(), {}, {}, Effect::Ordered);
      }
      role.body(group - first);
    };
    if (index + 1 == roles.size())
      return body();
    ifThenElse(group < first + role.warpgroups, State(), body, [&] { emit(index + 1, first + role.warpgroups); });
  };
  emit(0, 0);
}
