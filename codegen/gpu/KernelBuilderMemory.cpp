// SPDX-License-Identifier: Apache-2.0
//===- KernelBuilderMemory.cpp - memory, synchronisation, lanes, PTX ------===//

#include "codegen/gpu/KernelBuilder.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;
using namespace msa::gpu;

/// Dynamic shared memory of all kernels of a module. Aligned as 128-byte swizzles need it.
static constexpr llvm::StringLiteral sharedName = "msa_shared";
static constexpr int64_t sharedAlignment = 1024;

static int64_t alignTo(int64_t value, int64_t alignment) { return (value + alignment - 1) / alignment * alignment; }

static bool isE4M3(Type type) { return isa<Float8E4M3FNType>(type); }

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

Expr KernelBuilder::any(Expr condition) {
  return wrap(NVVM::VoteSyncOp::create(b, loc, i1(), constant(-1), condition, NVVM::VoteSyncKind::any));
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
