// SPDX-License-Identifier: Apache-2.0
//===- MSAQuantizeRoutingKeys.cpp - routing keys of one byte an element ---===//
//
// In every entry that routes over an argument, say `mem_rk.2`,
//
//   func.func @prefill(%rk: tensor<?x4x32xf32>, ...) {
//     %bank = msa.bind %rk documents %doc : ... -> !msa.bank<rk: 4x32xf32>
//
// becomes
//
//   func.func @prefill(%rk: tensor<?x4x32xf8E4M3FN>, %scale: tensor<?x1x1xf32>, ...) {
//     %bank = msa.bind %rk, %scale documents %doc : ... -> !msa.bank<rk: 4x32xf8E4M3FN, rk_scale: 1x1xf32>
//
// and in every entry, result `mem_rk.2` goes through `msa.quantize` and is followed by a result `mem_rk_scale.2`.
//
// What cannot be done is an error, all of them in one run: keys that something else reads as well (a router that shares its keys with
// attention), that are computed where they are routed over, or that already have another small type; a model that routes over nothing.
// test/passes/msa-quantize-routing-keys.mlir, msa-quantize-routing-keys-invalid.mlir.
//
//===----------------------------------------------------------------------===//

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "passes/Passes.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace msa {
#define GEN_PASS_DEF_MSAQUANTIZEROUTINGKEYS
#include "passes/Passes.h.inc"
} // namespace msa

namespace {

constexpr StringRef nameAttr = "onnx.name", dimsAttr = "onnx.dims";

/// "mem_rk.2" -> "mem_rk_scale.2".
std::string scaleName(StringRef keys) {
  auto [stem, layer] = keys.split('.');
  return (stem + "_scale" + keys.drop_front(stem.size())).str();
}

/// The attributes of an argument or result that holds the scales of one with `attributes`.
DictionaryAttr scaleAttributes(OpBuilder &b, DictionaryAttr attributes) {
  NamedAttrList list;
  if (auto name = attributes ? attributes.getAs<StringAttr>(nameAttr) : StringAttr())
    list.set(nameAttr, b.getStringAttr(scaleName(name)));
  if (auto dims = attributes ? attributes.getAs<ArrayAttr>(dimsAttr) : ArrayAttr(); dims && !dims.empty())
    list.set(dimsAttr, b.getArrayAttr({dims[0], b.getStringAttr(""), b.getStringAttr("")}));
  return list.getDictionary(b.getContext());
}

RankedTensorType withElement(Type type, Type element) { return cast<RankedTensorType>(type).clone(element); }
RankedTensorType scaleType(OpBuilder &b, Type keys) {
  return RankedTensorType::get({cast<RankedTensorType>(keys).getDimSize(0), 1, 1}, b.getF32Type());
}

class EntryKeys {
public:
  explicit EntryKeys(func::FuncOp function) : function(function), builder(function.getContext()) {}

  /// Finds what is routed over, and says why it cannot be quantised if it cannot.
  LogicalResult find();
  ArrayRef<BlockArgument> getKeys() const { return keys.getArrayRef(); }
  std::string nameOf(BlockArgument argument) {
    auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), nameAttr);
    return name ? name.str() : "argument " + std::to_string(argument.getArgNumber());
  }
  LogicalResult quantizeArguments();
  /// Those of `names`.
  LogicalResult quantizeResults(const llvm::StringSet<> &names);

private:
  template <typename Op> LogicalResult addRoute(Op op);
  LogicalResult checkUses(BlockArgument argument);
  bool hasName(StringRef name);
  void rebind(msa::BindOp bind, StringRef field, Value scale);

  func::FuncOp function;
  OpBuilder builder;
  llvm::SetVector<BlockArgument> keys; ///< that routes of this entry read
};

template <typename Op> LogicalResult EntryKeys::addRoute(Op op) {
  auto bind = op.getBank().template getDefiningOp<msa::BindOp>();
  if (!bind)
    return op.emitOpError("expected its bank to come from 'msa.bind', to quantise its keys");
  for (auto [field, rows] : llvm::zip(bind.getBank().getType().getFields(), bind.getRows())) {
    if (field.name != op.getField())
      continue;
    auto argument = dyn_cast<BlockArgument>(rows);
    if (!argument || argument.getOwner() != &function.front())
      return op.emitOpError("routes over keys that this entry computes: only keys that are an input of the entry can be quantised");
    keys.insert(argument);
  }
  return success();
}

LogicalResult EntryKeys::checkUses(BlockArgument argument) {
  std::string name = nameOf(argument);
  for (OpOperand &use : argument.getUses()) {
    auto bind = dyn_cast<msa::BindOp>(use.getOwner());
    if (isa<tensor::DimOp>(use.getOwner()))
      continue;
    if (!bind)
      return use.getOwner()->emitOpError("reads the routing keys '") << name << "' as well: only keys that nothing but routes read can be quantised";
    StringRef field = bind.getBank().getType().getFields()[use.getOperandNumber()].name;
    for (Operation *user : bind.getBank().getUsers()) {
      bool reads = isa<msa::ReadOp>(user) && (field == "k" || field == "v");
      if (auto gather = dyn_cast<msa::GatherOp>(user))
        reads = gather.getField() == field;
      if (reads || isa<msa::WriteOp>(user))
        return user->emitOpError(isa<msa::WriteOp>(user) ? "writes" : "reads")
               << " the routing keys '" << name
               << "' as well: only keys that nothing but routes read can be quantised, so a model whose router has no keys of its own keeps them as they are";
    }
  }
  if (!isa<Float16Type, BFloat16Type, Float32Type>(cast<RankedTensorType>(argument.getType()).getElementType()))
    return function.emitOpError("expected its routing keys '") << name << "' to be of f32, f16 or bf16, to quantise them, but got " << argument.getType();
  if (hasName(scaleName(name)))
    return function.emitOpError("has an input '") << scaleName(name) << "', which is what the scales of '" << name << "' are called";
  return success();
}

bool EntryKeys::hasName(StringRef name) {
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (auto other = function.getArgAttrOfType<StringAttr>(i, nameAttr); other && other == name)
      return true;
  return false;
}

LogicalResult EntryKeys::find() {
  LogicalResult result = success();
  function.walk([&](Operation *op) {
    LogicalResult added = success();
    if (auto route = dyn_cast<msa::RouteOp>(op))
      added = addRoute(route);
    else if (auto score = dyn_cast<msa::ScoreOp>(op))
      added = addRoute(score);
    if (failed(added))
      result = failure();
  });
  for (BlockArgument argument : keys)
    if (failed(checkUses(argument)))
      result = failure();
  return result;
}

/// Adds the field of the scales behind `field`, whose rows have their new type already.
void EntryKeys::rebind(msa::BindOp bind, StringRef field, Value scale) {
  SmallVector<msa::BankField> bankFields;
  SmallVector<Value> rows;
  std::string name = msa::BankType::getScaleName(field);
  for (auto [old, value] : llvm::zip(bind.getBank().getType().getFields(), bind.getRows())) {
    rows.push_back(value);
    bankFields.push_back(old);
    if (old.name != field)
      continue;
    bankFields.back().element = cast<RankedTensorType>(value.getType()).getElementType();
    rows.push_back(scale);
    bankFields.push_back({name, 1, 1, builder.getF32Type()});
  }
  builder.setInsertionPoint(bind);
  auto made = msa::BindOp::create(builder, bind.getLoc(), msa::BankType::get(builder.getContext(), bankFields), rows, bind.getDocuments());
  bind.getBank().replaceAllUsesWith(made.getBank());
  bind.erase();
}

LogicalResult EntryKeys::quantizeArguments() {
  for (BlockArgument argument : keys) {
    unsigned number = argument.getArgNumber();
    argument.setType(withElement(argument.getType(), Float8E4M3FNType::get(builder.getContext())));
    DictionaryAttr attributes = scaleAttributes(builder, function.getArgAttrDict(number));
    function.setType(builder.getFunctionType(function.front().getArgumentTypes(), function.getResultTypes()));
    if (failed(function.insertArgument(number + 1, scaleType(builder, argument.getType()), attributes, argument.getLoc())))
      return failure();
    Value scale = function.getArgument(number + 1);
    SmallVector<std::pair<msa::BindOp, std::string>> binds;
    for (OpOperand &use : argument.getUses())
      if (auto bind = dyn_cast<msa::BindOp>(use.getOwner()))
        binds.emplace_back(bind, bind.getBank().getType().getFields()[use.getOperandNumber()].name.str());
    for (auto &[bind, field] : binds)
      rebind(bind, field, scale);
  }
  return success();
}

LogicalResult EntryKeys::quantizeResults(const llvm::StringSet<> &names) {
  auto returnOp = cast<func::ReturnOp>(function.front().getTerminator());
  for (unsigned i = 0; i < function.getNumResults(); ++i) {
    auto name = function.getResultAttrOfType<StringAttr>(i, nameAttr);
    if (!name || !names.contains(name))
      continue;
    Value x = returnOp.getOperand(i);
    auto type = dyn_cast<RankedTensorType>(x.getType());
    if (!type || type.getRank() != 3 || !isa<Float16Type, BFloat16Type, Float32Type>(type.getElementType()))
      return function.emitOpError("expected its routing keys '") << name.getValue() << "' to be [rows, heads, dim] of f32, f16 or bf16, to quantise them, but got "
                                                               << x.getType();
    builder.setInsertionPoint(returnOp);
    auto quantize = msa::QuantizeOp::create(builder, x.getLoc(), withElement(type, Float8E4M3FNType::get(builder.getContext())), scaleType(builder, type), x);
    returnOp.getOperandsMutable().slice(i, 1).assign(quantize.getRows());
    DictionaryAttr attributes = scaleAttributes(builder, function.getResultAttrDict(i));
    if (failed(function.insertResult(i + 1, quantize.getScales().getType(), attributes)))
      return failure();
    SmallVector<Value> operands(returnOp.getOperands());
    operands.insert(operands.begin() + i + 1, quantize.getScales());
    returnOp.getOperandsMutable().assign(operands);
    function.setType(builder.getFunctionType(function.front().getArgumentTypes(), returnOp.getOperandTypes()));
    ++i; // the scales
  }
  return success();
}

struct MSAQuantizeRoutingKeys : msa::impl::MSAQuantizeRoutingKeysBase<MSAQuantizeRoutingKeys> {
  void runOnOperation() override {
    SmallVector<EntryKeys> entries;
    llvm::StringSet<> names;
    bool failed = false, any = false;
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      EntryKeys &entry = entries.emplace_back(function);
      failed |= mlir::failed(entry.find());
      for (BlockArgument argument : entry.getKeys())
        names.insert(entry.nameOf(argument));
      any |= !entry.getKeys().empty();
    }
    if (!any && !failed) {
      getOperation().emitError("no entry routes over keys of a memory bank, so there are none to quantise");
      failed = true;
    }
    if (failed)
      return signalPassFailure();
    for (EntryKeys &entry : entries)
      if (mlir::failed(entry.quantizeArguments()) || mlir::failed(entry.quantizeResults(names)))
        return signalPassFailure();
  }
};

} // namespace
