// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/Launch.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/ADT/StringSwitch.h"

using namespace mlir;
using namespace msa::gpu;

// -- To an attribute ---------------------------------------------------------------------------------------------------------

namespace {

/// A dictionary in the making.
class Fields {
public:
  explicit Fields(MLIRContext *context) : builder(context) {}

  void put(StringRef name, Attribute value) { entries.push_back(builder.getNamedAttr(name, value)); }
  void put(StringRef name, int64_t value, int64_t otherwise) {
    if (value != otherwise)
      put(name, builder.getI64IntegerAttr(value));
  }
  template <typename T> void put(StringRef name, const std::vector<T> &values) {
    if (!values.empty())
      put(name, builder.getDenseI64ArrayAttr(SmallVector<int64_t>(values.begin(), values.end())));
  }
  void put(StringRef name, const std::string &value) { put(name, Attribute(builder.getStringAttr(value))); }
  template <typename Range> void putAll(StringRef name, const Range &values) {
    SmallVector<Attribute> attributes;
    for (const auto &value : values)
      attributes.push_back(toAttribute(value));
    if (!attributes.empty())
      put(name, Attribute(builder.getArrayAttr(attributes)));
  }
  DictionaryAttr take() { return builder.getDictionaryAttr(entries); }

  Attribute toAttribute(const Term &term) {
    if (term.scalars.empty() && term.divisor == 1 && term.multiplier == 1)
      return builder.getI64IntegerAttr(term.factor);
    Fields fields(builder.getContext());
    fields.put("factor", term.factor, 1);
    fields.put("scalars", term.scalars);
    fields.put("divisor", term.divisor, 1);
    fields.put("multiplier", term.multiplier, 1);
    return fields.take();
  }

  Attribute toAttribute(const TensorMap &map) {
    static constexpr StringLiteral types[] = {"f32", "f16", "bf16", "u8"};
    Fields fields(builder.getContext());
    fields.put("buffer", map.buffer, -1);
    fields.put("type", types[static_cast<int>(map.type)].str());
    fields.putAll("dims", map.dims);
    fields.putAll("strides", map.strides);
    fields.put("box", map.box);
    fields.put("swizzle", map.swizzle, 0);
    return fields.take();
  }

  Attribute toAttribute(const Launch &launch) {
    Fields fields(builder.getContext());
    fields.put("symbol", launch.symbol);
    fields.putAll("grid", launch.grid);
    fields.put("persistent", launch.persistent, 0);
    fields.put("block", launch.block, -1);
    fields.put("cluster", launch.cluster, 1);
    fields.put("dynamic_shared", launch.dynamicShared, 0);
    if (launch.workspace)
      fields.put("workspace", toAttribute(*launch.workspace));
    if (launch.workspaceZeroed)
      fields.put("workspace_zeroed", toAttribute(*launch.workspaceZeroed));
    fields.putAll("tensor_maps", launch.tensorMaps);
    return fields.take();
  }

  Attribute toAttribute(const LaunchCase &launchCase) {
    Fields fields(builder.getContext());
    if (launchCase.scalar) {
      fields.put("scalar", *launchCase.scalar, -1);
      fields.put("below", builder.getI64IntegerAttr(launchCase.below));
    }
    fields.putAll("launches", launchCase.launches);
    return fields.take();
  }

private:
  Builder builder;
  SmallVector<NamedAttribute> entries;
};

} // namespace

DictionaryAttr msa::gpu::toAttribute(MLIRContext *context, const LaunchTable &table) {
  Fields fields(context);
  fields.put("kernel", table.kernel);
  fields.putAll("cases", table.cases);
  return fields.take();
}

// -- From an attribute -------------------------------------------------------------------------------------------------------

namespace {

/// Reads dictionaries; the first thing that is wrong is told, and everything after it fails.
class Reader {
public:
  explicit Reader(llvm::function_ref<InFlightDiagnostic()> emitError) : emitError(emitError) {}

  bool hasFailed() const { return failed; }

  /// Checks that `attribute` is a dictionary of the fields named, and no other.
  DictionaryAttr fields(Attribute attribute, StringRef what, ArrayRef<StringRef> names) {
    auto dictionary = dyn_cast_or_null<DictionaryAttr>(attribute);
    if (!dictionary) {
      complain("expected " + what + " to be a dictionary");
      return {};
    }
    for (NamedAttribute entry : dictionary)
      if (!llvm::is_contained(names, entry.getName().getValue()))
        complain(what + " has no field '" + entry.getName().getValue() + "'");
    return dictionary;
  }

  int64_t integer(DictionaryAttr from, StringRef name, std::optional<int64_t> otherwise, int64_t least = 0) {
    Attribute value = from ? from.get(name) : Attribute();
    if (!value && otherwise)
      return *otherwise;
    auto number = dyn_cast_or_null<IntegerAttr>(value);
    if (!number || number.getInt() < least) {
      complain("expected '" + name + "' to be an integer, " + Twine(least) + " or more");
      return least;
    }
    return number.getInt();
  }

  std::string text(DictionaryAttr from, StringRef name) {
    auto value = dyn_cast_or_null<StringAttr>(from ? from.get(name) : Attribute());
    if (value)
      return value.str();
    complain("expected '" + name + "' to be a string");
    return "";
  }

  std::vector<uint32_t> integers(DictionaryAttr from, StringRef name) {
    Attribute value = from ? from.get(name) : Attribute();
    if (!value)
      return {};
    if (auto array = dyn_cast<DenseI64ArrayAttr>(value))
      return std::vector<uint32_t>(array.asArrayRef().begin(), array.asArrayRef().end());
    complain("expected '" + name + "' to be an array of i64");
    return {};
  }

  template <typename T> std::vector<T> all(DictionaryAttr from, StringRef name, T (Reader::*read)(Attribute)) {
    Attribute value = from ? from.get(name) : Attribute();
    if (!value)
      return {};
    auto array = dyn_cast<ArrayAttr>(value);
    if (!array) {
      complain("expected '" + name + "' to be an array");
      return {};
    }
    std::vector<T> values;
    for (Attribute element : array)
      values.push_back((this->*read)(element));
    return values;
  }

  Term term(Attribute attribute) {
    if (auto number = dyn_cast_or_null<IntegerAttr>(attribute))
      return Term::constant(number.getInt());
    DictionaryAttr from = fields(attribute, "a term", {"factor", "scalars", "divisor", "multiplier"});
    Term term;
    term.factor = integer(from, "factor", 1);
    term.scalars = integers(from, "scalars");
    term.divisor = integer(from, "divisor", 1, 1);
    term.multiplier = integer(from, "multiplier", 1);
    return term;
  }

  TensorMap tensorMap(Attribute attribute) {
    DictionaryAttr from = fields(attribute, "a tensor map", {"buffer", "type", "dims", "strides", "box", "swizzle"});
    TensorMap map;
    map.buffer = integer(from, "buffer", std::nullopt);
    std::string type = text(from, "type");
    auto known = llvm::StringSwitch<std::optional<TensorElement>>(type)
                     .Case("f32", TensorElement::F32)
                     .Case("f16", TensorElement::F16)
                     .Case("bf16", TensorElement::BF16)
                     .Case("u8", TensorElement::U8)
                     .Default(std::nullopt);
    if (known)
      map.type = *known;
    else
      complain("expected 'type' to be f32, f16, bf16 or u8");
    map.dims = all(from, "dims", &Reader::term);
    map.strides = all(from, "strides", &Reader::term);
    map.box = integers(from, "box");
    map.swizzle = integer(from, "swizzle", 0);
    if (map.dims.empty() || map.dims.size() > 5 || map.strides.size() + 1 != map.dims.size() || map.box.size() != map.dims.size())
      complain("expected a tensor map to have 1 to 5 dims, a box of as many, and a stride for each but the first");
    return map;
  }

  Launch launch(Attribute attribute) {
    DictionaryAttr from = fields(attribute, "a launch",
                                 {"symbol", "grid", "persistent", "block", "cluster", "dynamic_shared", "workspace", "workspace_zeroed",
                                  "tensor_maps"});
    Launch launch;
    launch.symbol = text(from, "symbol");
    std::vector<Term> grid = all(from, "grid", &Reader::term);
    if (grid.size() == 3)
      std::copy(grid.begin(), grid.end(), launch.grid.begin());
    else
      complain("expected 'grid' to have three terms");
    launch.persistent = integer(from, "persistent", 0);
    launch.block = integer(from, "block", std::nullopt, 1);
    if (launch.block % 32 || launch.block > 1024)
      complain("expected 'block' to be a multiple of 32, 1024 or less");
    launch.cluster = integer(from, "cluster", 1, 1);
    launch.dynamicShared = integer(from, "dynamic_shared", 0);
    if (from && from.get("workspace"))
      launch.workspace = term(from.get("workspace"));
    if (from && from.get("workspace_zeroed"))
      launch.workspaceZeroed = term(from.get("workspace_zeroed"));
    launch.tensorMaps = all(from, "tensor_maps", &Reader::tensorMap);
    return launch;
  }

  LaunchCase launchCase(Attribute attribute) {
    DictionaryAttr from = fields(attribute, "a case", {"scalar", "below", "launches"});
    LaunchCase launchCase;
    if (from && from.get("scalar")) {
      launchCase.scalar = integer(from, "scalar", std::nullopt);
      launchCase.below = integer(from, "below", std::nullopt);
    }
    launchCase.launches = all(from, "launches", &Reader::launch);
    return launchCase;
  }

  LaunchTable table(Attribute attribute) {
    DictionaryAttr from = fields(attribute, "a launch table", {"kernel", "cases"});
    LaunchTable table;
    table.kernel = text(from, "kernel");
    table.cases = all(from, "cases", &Reader::launchCase);
    if (table.cases.empty() || table.cases.back().scalar)
      complain("expected the last case of a kernel to be taken always");
    return table;
  }

private:
  void complain(const Twine &text) {
    if (!failed)
      emitError() << kLaunchTableName << ": " << text;
    failed = true;
  }

  llvm::function_ref<InFlightDiagnostic()> emitError;
  bool failed = false;
};

} // namespace

FailureOr<LaunchTable> msa::gpu::fromAttribute(Attribute attribute, llvm::function_ref<InFlightDiagnostic()> emitError) {
  Reader reader(emitError);
  LaunchTable table = reader.table(attribute);
  if (reader.hasFailed())
    return failure();
  return table;
}

FailureOr<std::vector<LaunchTable>> msa::gpu::collectLaunchTables(ModuleOp module) {
  std::vector<LaunchTable> tables;
  SymbolTable symbols(module);
  for (auto function : module.getOps<LLVM::LLVMFuncOp>()) {
    Attribute attribute = function->getAttr(kLaunchTableName);
    if (!attribute)
      continue;
    FailureOr<LaunchTable> table = fromAttribute(attribute, [&] { return function.emitError(); });
    if (failed(table))
      return failure();
    for (const LaunchCase &launchCase : table->cases)
      for (const Launch &launch : launchCase.launches)
        if (!symbols.lookup<LLVM::LLVMFuncOp>(launch.symbol))
          return function.emitError() << kLaunchTableName << ": '" << launch.symbol << "' is no function of this module";
    tables.push_back(std::move(*table));
  }
  return tables;
}
