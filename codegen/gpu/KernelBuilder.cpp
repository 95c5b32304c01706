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

/// Dynamic shared memory of all kernels of a module. Aligned as 128-byte swizzles need it.
static constexpr llvm::StringLiteral sharedName = "msa_shared";
static constexpr int64_t sharedAlignment = 1024;

static int64_t alignTo(int64_t value, int64_t alignment) { return (value + alignment - 1) / alignment * alignment; }

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

//===--- Shared memory. ---===//

Slab KernelBuilder::shared(int64_t bytes, int64_t align) {
  assert(align > 0 && align <= sharedAlignment && (align & (align - 1)) == 0);
  int64_t offset = alignTo(plannedShared, align);
  plannedShared = offset + bytes;
  return {offset, bytes};
}

Value KernelBuilder::sharedBase() {
  Type type = LLVM::LLVMArrayType::get(b.getI8Type(), 0);
  if (!module.lookupSymbol(sharedName)) {
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(module.getBody());
    LLVM::GlobalOp::create(b, loc, type, /*isConstant=*/false, LLVM::Linkage::External, sharedName, Attribute(), sharedAlignment, 3);
  }
  return LLVM::AddressOfOp::create(b, loc, LLVM::LLVMPointerType::get(b.getContext(), 3), sharedName);
}

Expr KernelBuilder::sharedAddress(Slab slab) {
  Expr base = atEntry(sharedBaseValue, [&] { return wrap(LLVM::PtrToIntOp::create(b, loc, i32(), sharedBase())); });
  return base + slab.offset;
}

Array KernelBuilder::sharedArray(Slab slab, Type element) {
  Value base = sharedBase();
  return {LLVM::GEPOp::create(b, loc, base.getType(), b.getI8Type(), base, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(slab.offset)}), element};
}

//===--- Memory. ---===//

static int64_t bytesOf(Type element) { return (element.getIntOrFloatBitWidth() + 7) / 8; }

/// How LLVM holds a stored element: it has no 8-bit floats.
static Type storage(OpBuilder &b, Type element) { return isE4M3(element) ? b.getI8Type() : element; }

Value KernelBuilder::at(const Array &array, Expr index) {
  return LLVM::GEPOp::create(b, loc, array.base.getType(), storage(b, array.element), array.base, ArrayRef<LLVM::GEPArg>{index.value()});
}

Expr KernelBuilder::load(const Array &array, Expr index) {
  Type stored = storage(b, array.element);
  Expr value = wrap(LLVM::LoadOp::create(b, loc, stored, at(array, index), bytesOf(stored)));
  return stored == array.element ? value : bitcast(value, array.element);
}

void KernelBuilder::store(Expr value, const Array &array, Expr index) {
  Type stored = storage(b, array.element);
  if (stored != array.element)
    value = bitcast(value, stored);
  assert(value.type() == stored && "stores do not convert: see storeF32");
  LLVM::StoreOp::create(b, loc, value, at(array, index), bytesOf(stored));
}

SmallVector<Expr> KernelBuilder::loadVector(const Array &array, Expr index, unsigned count) {
  if (count == 1)
    return {load(array, index)};
  Type stored = storage(b, array.element);
  auto type = VectorType::get({count}, stored);
  Value vector = LLVM::LoadOp::create(b, loc, type, at(array, index), bytesOf(stored) * count);
  SmallVector<Expr> elements;
  for (unsigned i = 0; i < count; ++i) {
    Expr element = wrap(LLVM::ExtractElementOp::create(b, loc, vector, constant(i)));
    elements.push_back(stored == array.element ? element : bitcast(element, array.element));
  }
  return elements;
}

void KernelBuilder::storeVector(ArrayRef<Expr> values, const Array &array, Expr index) {
  if (values.size() == 1)
    return store(values[0], array, index);
  Type stored = storage(b, array.element);
  auto type = VectorType::get({static_cast<int64_t>(values.size())}, stored);
  Value vector = LLVM::PoisonOp::create(b, loc, type);
  for (auto [i, value] : llvm::enumerate(values))
    vector = LLVM::InsertElementOp::create(b, loc, vector, stored == array.element ? value : bitcast(value, stored), constant(i));
  LLVM::StoreOp::create(b, loc, vector, at(array, index), bytesOf(stored) * values.size());
}

SmallVector<Expr> KernelBuilder::load16(const Array &array, Expr index, Reuse reuse, int64_t offset) {
  SmallVector<Type> four(4, i32());
  std::string name = reuse == Reuse::Once ? "ld.global.nc.L1::no_allocate.v4.b32" : "ld.global.nc.v4.b32", where = offset == 0 ? "[$4]" : "[$4+" + std::to_string(offset) + "]";
  return ptx(name + " {$0, $1, $2, $3}, " + where + ";", four, at(array, index), Effect::Ordered);
}

//===--- Synchronisation. ---===//

void KernelBuilder::syncThreads() { ptx("bar.sync 0;", {}, {}, Effect::Memory); }
void KernelBuilder::syncWarp() { ptx("bar.warp.sync 0xffffffff;", {}, {}, Effect::Memory); }
void KernelBuilder::barrierSync(unsigned id, unsigned threads) {
  ptx(("bar.sync " + llvm::Twine(id) + ", " + llvm::Twine(threads) + ";").str(), {}, {}, Effect::Memory);
}
void KernelBuilder::barrierSync(Expr id, unsigned threads) {
  ptx(("bar.sync $0, " + llvm::Twine(threads) + ";").str(), {}, id.value(), Effect::Memory);
}
void KernelBuilder::barrierArrive(unsigned id, unsigned threads) {
  ptx(("bar.arrive " + llvm::Twine(id) + ", " + llvm::Twine(threads) + ";").str(), {}, {}, Effect::Memory);
}
void KernelBuilder::barrierArrive(Expr id, unsigned threads) {
  ptx(("bar.arrive $0, " + llvm::Twine(threads) + ";").str(), {}, id.value(), Effect::Memory);
}
void KernelBuilder::clusterSync() {
  ptx("barrier.cluster.arrive.release.aligned;", {}, {}, Effect::Memory);
  ptx("barrier.cluster.wait.acquire.aligned;", {}, {}, Effect::Memory);
}
void KernelBuilder::fenceProxyAsync() { ptx("fence.proxy.async.shared::cta;", {}, {}, Effect::Memory); }
void KernelBuilder::fenceDevice() { ptx("membar.gl;", {}, {}, Effect::Memory); }
void KernelBuilder::gridDependencyWait() { ptx("griddepcontrol.wait;", {}, {}, Effect::Memory); }
void KernelBuilder::gridDependencyLaunch() { ptx("griddepcontrol.launch_dependents;", {}, {}, Effect::Memory); }

//===--- Lanes. ---===//

Expr KernelBuilder::shuffleXor(Expr value, int mask) {
  return wrap(NVVM::ShflOp::create(b, loc, value.type(), constant(-1), value, constant(mask), constant(31), NVVM::ShflKind::bfly, UnitAttr()));
}

Expr KernelBuilder::shuffleIndex(Expr value, Expr lane) {
  return wrap(NVVM::ShflOp::create(b, loc, value.type(), constant(-1), value, lane, constant(31), NVVM::ShflKind::idx, UnitAttr()));
}

Expr KernelBuilder::quadReduce(Expr value, Combine combine) {
  for (int mask : {1, 2})
    value = combine(value, shuffleXor(value, mask));
  return value;
}

Expr KernelBuilder::warpReduce(Expr value, Combine combine) {
  for (int mask : {1, 2, 4, 8, 16})
    value = combine(value, shuffleXor(value, mask));
  return value;
}

Expr KernelBuilder::groupReduce(Expr value, Slab scratch, Expr warpInGroup, unsigned warps, Expr id, Combine combine) {
  Array partial = sharedArray(scratch, value.type());
  value = warpReduce(value, combine);
  barrierSync(id, warps * 32); // who read it before is done
  ifThen(lane() == 0, [&] { store(value, partial, warpInGroup); });
  barrierSync(id, warps * 32);
  Expr all = load(partial, constant(0));
  for (unsigned i = 1; i < warps; ++i)
    all = combine(all, load(partial, constant(i)));
  return all;
}

Expr KernelBuilder::clusterAddress(Expr sharedAddress, Expr rank) {
  return ptx("mapa.shared::cluster.u32 $0, $1, $2;", i32(), {sharedAddress.value(), rank.value()}, Effect::Pure)[0];
}

Expr KernelBuilder::loadCluster(Expr clusterAddress, Type type) {
  StringRef text = type.isF32() ? "ld.shared::cluster.f32 $0, [$1];" : "ld.shared::cluster.b32 $0, [$1];";
  return ptx(text, type, clusterAddress.value(), Effect::Memory)[0];
}

void KernelBuilder::anchor(Expr value) {
  if (!anchorSlab)
    anchorSlab = shared(int64_t(signature.threads) * 4, 128);
  ptx("st.volatile.shared.f32 [$0], $1;", {}, {(sharedAddress(*anchorSlab) + thread() * 4).value(), value.value()}, Effect::Ordered);
}

//===--- PTX. ---===//

static char registerClass(Type type) {
  if (type.isF32())
    return 'f';
  if (isa<LLVM::LLVMPointerType>(type) || type.isInteger(64))
    return 'l';
  assert((type.isInteger(32) || type.isInteger(16)) && "no register class for this type");
  return type.isInteger(16) ? 'h' : 'r';
}

/// Emits inline assembly with `results` as its result types.
static SmallVector<Value> inlineAssembly(OpBuilder &b, Location loc, StringRef text, StringRef constraints, TypeRange results,
                                         ValueRange operands, bool sideEffects) {
  Type resultType;
  if (results.size() == 1)
    resultType = results[0];
  else if (results.size() > 1)
    resultType = LLVM::LLVMStructType::getLiteral(b.getContext(), llvm::to_vector(results));
  auto op = LLVM::InlineAsmOp::create(b, loc, resultType ? TypeRange(resultType) : TypeRange(), operands, text, constraints, sideEffects,
                                      /*is_align_stack=*/false, LLVM::TailCallKind::None, LLVM::AsmDialectAttr(), ArrayAttr());
  SmallVector<Value> values;
  if (results.size() == 1)
    values.push_back(op.getRes());
  else
    for (unsigned i = 0; i < results.size(); ++i)
      values.push_back(LLVM::ExtractValueOp::create(b, loc, op.getRes(), i));
  return values;
}

SmallVector<Expr> KernelBuilder::ptx(StringRef text, TypeRange results, ValueRange operands, Effect effect) {
  std::string constraints;
  auto add = [&](const llvm::Twine &one) { constraints += (constraints.empty() ? "" : ",") + one.str(); };
  for (Type type : results)
    add("=" + llvm::Twine(registerClass(type)));
  for (Value operand : operands)
    add(llvm::Twine(registerClass(operand.getType())));
  if (effect == Effect::Memory)
    add("~{memory}");
  SmallVector<Expr> values;
  for (Value value : inlineAssembly(b, loc, text, constraints, results, operands, effect != Effect::Pure))
    values.push_back(wrap(value));
  return values;
}

void KernelBuilder::pin(ArrayRef<Value *> values) {
  if (values.empty())
    return;
  SmallVector<Type> types;
  SmallVector<Value> operands;
  std::string outputs, ties;
  for (auto [i, value] : llvm::enumerate(values)) {
    types.push_back(value->getType());
    operands.push_back(*value);
    outputs += (i ? ",=" : "=") + std::string(1, registerClass(value->getType()));
    ties += "," + std::to_string(i);
  }
  for (auto [slot, value] : llvm::zip_equal(values, inlineAssembly(b, loc, "", outputs + ties, types, operands, true)))
    *slot = value;
}
