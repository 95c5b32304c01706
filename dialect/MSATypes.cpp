// SPDX-License-Identifier: Apache-2.0

#include "dialect/MSAOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#define GET_TYPEDEF_CLASSES
#include "dialect/MSATypes.cpp.inc"

llvm::hash_code msa::hash_value(const BankField &field) {
  return llvm::hash_combine(field.name, field.heads, field.dim, field.element);
}

void msa::MSADialect::registerTypes() {
  addTypes<
#define GET_TYPEDEF_LIST
#include "dialect/MSATypes.cpp.inc"
      >();
}

const msa::BankField *msa::BankType::getField(StringRef name) const {
  for (const BankField &field : getFields())
    if (field.name == name)
      return &field;
  return nullptr;
}

std::string msa::BankType::getScaleName(StringRef field) { return (field + "_scale").str(); }

Type msa::BankType::parse(AsmParser &parser) {
  SmallVector<BankField> fields;
  auto parseField = [&]() -> ParseResult {
    BankField field;
    SmallVector<int64_t> dims;
    if (parser.parseKeyword(&field.name) || parser.parseColon() ||
        parser.parseDimensionList(dims, /*allowDynamic=*/false, /*withTrailingX=*/true) || parser.parseType(field.element))
      return failure();
    if (dims.size() != 2)
      return parser.emitError(parser.getCurrentLocation(), "expected 'heads x dim x type' of a bank field, but got ")
             << dims.size() << " dims";
    field.heads = dims[0];
    field.dim = dims[1];
    fields.push_back(field);
    return success();
  };
  if (parser.parseCommaSeparatedList(AsmParser::Delimiter::LessGreater, parseField))
    return {};
  return parser.getChecked<BankType>(parser.getContext(), fields);
}

void msa::BankType::print(AsmPrinter &printer) const {
  printer << '<';
  llvm::interleaveComma(getFields(), printer, [&](const BankField &field) {
    printer << field.name << ": " << field.heads << 'x' << field.dim << 'x' << field.element;
  });
  printer << '>';
}

LogicalResult msa::BankType::verify(function_ref<InFlightDiagnostic()> emitError, ArrayRef<BankField> fields) {
  llvm::StringSet<> seen;
  for (const BankField &field : fields) {
    if (!seen.insert(field.name).second)
      return emitError() << "bank field '" << field.name << "' is declared twice";
    if (field.heads <= 0 || field.dim <= 0)
      return emitError() << "expected bank field '" << field.name << "' to have positive heads and dim, but got "
                         << field.heads << 'x' << field.dim;
    if (!isa<FloatType>(field.element))
      return emitError() << "expected bank field '" << field.name << "' to have a float element type, but got "
                         << field.element;
    if (cast<FloatType>(field.element).getWidth() == 8 && !isa<Float8E4M3FNType>(field.element))
      return emitError() << "expected bank field '" << field.name << "' to be of f8E4M3FN or a larger type, but got " << field.element;
  }
  for (const BankField &field : fields) {
    if (!isa<Float8E4M3FNType>(field.element))
      continue;
    std::string name = getScaleName(field.name);
    if (!llvm::any_of(fields, [&](const BankField &scale) {
          return scale.name == name && scale.heads == 1 && scale.dim == 1 && scale.element.isF32();
        }))
      return emitError() << "expected bank field '" << field.name << "' of f8E4M3FN to have a field '" << name << ": 1x1xf32' beside it";
  }
  return success();
}
