// SPDX-License-Identifier: Apache-2.0

#include "passes/onnx/Node.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace msa::onnx {

Attribute NodeContext::getAttr(StringRef name) {
  read.insert(name);
  return op.getNodeAttributes().get(name);
}

void NodeContext::reportKind(StringRef name, StringRef kind) {
  if (reason.empty())
    reason = ("expected attribute '" + name + "' to be " + kind).str();
}

int64_t NodeContext::getInt(StringRef name, int64_t otherwise) {
  Attribute attr = getAttr(name);
  if (!attr)
    return otherwise;
  if (auto integer = dyn_cast<IntegerAttr>(attr); integer && integer.getType().isSignlessInteger(64))
    return integer.getInt();
  reportKind(name, "an INT");
  return otherwise;
}

double NodeContext::getFloat(StringRef name, double otherwise) {
  Attribute attr = getAttr(name);
  if (!attr)
    return otherwise;
  if (auto number = dyn_cast<FloatAttr>(attr))
    return number.getValueAsDouble();
  reportKind(name, "a FLOAT");
  return otherwise;
}

StringRef NodeContext::getString(StringRef name, StringRef otherwise) {
  Attribute attr = getAttr(name);
  if (!attr)
    return otherwise;
  if (auto string = dyn_cast<StringAttr>(attr))
    return string.getValue();
  reportKind(name, "a STRING");
  return otherwise;
}

std::optional<SmallVector<int64_t>> NodeContext::getInts(StringRef name) {
  Attribute attr = getAttr(name);
  if (!attr)
    return std::nullopt;
  if (auto ints = dyn_cast<DenseI64ArrayAttr>(attr))
    return SmallVector<int64_t>(ints.asArrayRef());
  if (auto list = dyn_cast<ArrayAttr>(attr); list && list.empty())
    return SmallVector<int64_t>();
  reportKind(name, "INTS");
  return std::nullopt;
}

std::optional<SmallVector<double>> NodeContext::getFloats(StringRef name) {
  Attribute attr = getAttr(name);
  if (!attr)
    return std::nullopt;
  if (auto floats = dyn_cast<DenseF32ArrayAttr>(attr))
    return SmallVector<double>(floats.asArrayRef());
  reportKind(name, "FLOATS");
  return std::nullopt;
}

ElementsAttr NodeContext::getElements(StringRef name) {
  Attribute attr = getAttr(name);
  if (!attr)
    return {};
  if (auto elements = dyn_cast<ElementsAttr>(attr); elements && isa<RankedTensorType>(elements.getType()))
    return elements;
  reportKind(name, "a TENSOR");
  return {};
}

void NodeContext::ignore(std::initializer_list<StringRef> names) {
  for (StringRef name : names)
    read.insert(name);
}

FailureOr<int64_t> NodeContext::getAxis(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    return fail("expected an axis within [" + Twine(-rank) + ", " + Twine(rank) + "), but got " + Twine(axis));
  return axis < 0 ? axis + rank : axis;
}

FailureOr<std::optional<SmallVector<int64_t>>> NodeContext::getIntsOf(StringRef attribute, size_t input) {
  if (std::optional<SmallVector<int64_t>> ints = getInts(attribute))
    return ints;
  if (!has(input))
    return std::optional<SmallVector<int64_t>>();
  std::optional<SmallVector<int64_t>> ints = emit.getConstantInts(in(input));
  if (!ints)
    return fail("expected '" + attribute + "' (input " + Twine(input) + ") to be known at compile time");
  return ints;
}

LogicalResult NodeContext::fail(const Twine &why) {
  if (reason.empty())
    reason = why.str();
  return failure();
}

LogicalResult NodeContext::requireFloat(size_t i) {
  Type element = in(i).element;
  if (element.isF16() || element.isBF16() || element.isF32() || element.isF64())
    return success();
  return fail("expected input " + Twine(i) + " to be a float tensor, but got " + getTypeName(element));
}

LogicalResult NodeContext::requireRank(size_t i, int64_t atLeast, int64_t atMost) {
  int64_t rank = in(i).getRank();
  if (rank >= atLeast && rank <= atMost)
    return success();
  return fail("expected input " + Twine(i) + " to have rank " + Twine(atLeast) +
              (atLeast == atMost ? Twine() : " to " + Twine(atMost)) + ", but got " + Twine(rank));
}

std::string NodeContext::getReason() {
  if (!reason.empty())
    return reason;
  for (NamedAttribute attr : op.getNodeAttributes())
    if (!read.contains(attr.getName().getValue()))
      return ("attribute '" + attr.getName().getValue() + "' is not known").str();
  return {};
}

std::string getTypeName(Type type) {
  if (auto integer = dyn_cast<IntegerType>(type))
    return integer.getWidth() == 1 ? "bool"
                                   : ((integer.isUnsigned() ? "uint" : "int") + Twine(integer.getWidth())).str();
  if (type.isF32())
    return "float";
  if (type.isF64())
    return "double";
  if (type.isF16())
    return "float16";
  if (type.isBF16())
    return "bfloat16";
  if (isa<StringType>(type))
    return "string";
  std::string text;
  llvm::raw_string_ostream(text) << type;
  return text;
}

const HandlerTable &HandlerTable::get() {
  static const HandlerTable table = [] {
    HandlerTable all;
    registerArithmetic(all);
    registerAttention(all);
    registerElementwise(all);
    registerIndexing(all);
    registerLayout(all);
    registerMemory(all);
    registerNormalization(all);
    registerProducts(all);
    registerReductions(all);
    registerScans(all);
    registerShape(all);
    return all;
  }();
  return table;
}

} // namespace msa::onnx
