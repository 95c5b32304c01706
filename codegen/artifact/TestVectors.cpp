// SPDX-License-Identifier: Apache-2.0

#include "codegen/artifact/TestVectors.h"
#include "codegen/artifact/ConstantBytes.h"
#include "dialect/exec/ExecDialect.h"
#include "dialect/onnx/TensorFile.h"
#include "mlir/IR/Diagnostics.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/JSON.h"
#include "llvm/Support/Path.h"
#include <algorithm>
#include <set>
#include <tuple>

using namespace mlir;
using namespace msa;

namespace {

struct Vector {
  std::string name; // in the segment
  RankedTensorType type;
  ArrayRef<char> bytes;
};

/// Safetensors' name of an element type; empty if it has none.
StringRef typeName(Type type) {
  if (type.isInteger(1))
    return "BOOL";
  if (auto integer = dyn_cast<IntegerType>(type)) {
    bool isUnsigned = integer.isUnsigned();
    switch (integer.getWidth()) {
    case 8:
      return isUnsigned ? "U8" : "I8";
    case 16:
      return isUnsigned ? "U16" : "I16";
    case 32:
      return isUnsigned ? "U32" : "I32";
    case 64:
      return isUnsigned ? "U64" : "I64";
    }
    return "";
  }
  return type.isF32() ? "F32" : type.isF64() ? "F64" : type.isF16() ? "F16" : type.isBF16() ? "BF16" : "";
}

unsigned elementBytes(Type type) { return std::max(type.getIntOrFloatBitWidth() / 8, 1u); }

class Packer {
public:
  explicit Packer(ModuleOp module) : module(module) {}

  LogicalResult addEntry(exec::EntryOp entry, ArrayRef<std::string> folders);
  std::string finish();

private:
  InFlightDiagnostic error(const Twine &message) { return emitError(UnknownLoc::get(module.getContext()), message); }
  LogicalResult addTensors(exec::EntryOp entry, StringRef folder, size_t set, bool outputs);

  ModuleOp module;
  ConstantBytes bytes;
  std::vector<Vector> vectors;
};

/// Reads "input_0.pb", "input_1.pb", ... or "output_0.pb", ...
LogicalResult Packer::addTensors(exec::EntryOp entry, StringRef folder, size_t set, bool outputs) {
  StringRef kind = outputs ? "output" : "input";
  ArrayAttr names = outputs ? entry.getOutputNames() : entry.getInputNames();
  ArrayAttr types = outputs ? entry.getOutputTypes() : entry.getInputTypes();
  std::set<size_t> found;
  for (size_t number = 0;; ++number) {
    llvm::SmallString<256> path(folder);
    llvm::sys::path::append(path, kind + "_" + Twine(number) + ".pb");
    if (!llvm::sys::fs::exists(path))
      break;
    FailureOr<onnx::NamedTensor> tensor = onnx::importTensorFile(*module.getContext(), path);
    if (failed(tensor))
      return failure();
    size_t port = number;
    if (!tensor->name.empty())
      port = llvm::find_if(names, [&](Attribute name) { return cast<StringAttr>(name) == tensor->name; }) - names.begin();
    if (port >= names.size())
      return error(path + ": expected an " + kind + " of entry '" + entry.getSymName() + "', but it is " +
                   (tensor->name.empty() ? "number " + std::to_string(number) + " of " + std::to_string(names.size())
                                         : "called '" + tensor->name + "'"));
    StringRef name = cast<StringAttr>(names[port]).getValue();
    if (!found.insert(port).second)
      return error(path + ": " + kind + " '" + name + "' is there twice");
    auto expected = cast<RankedTensorType>(cast<TypeAttr>(types[port]).getValue());
    auto actual = dyn_cast<RankedTensorType>(tensor->value.getType());
    // The importer gives unsigned and signless integers as the file has them, entries as the program computes with them.
    bool fits = actual && typeName(actual.getElementType()) == typeName(expected.getElementType()) &&
                succeeded(verifyCompatibleShape(actual.getShape(), expected.getShape()));
    if (!fits)
      return error(path + ": " + kind + " '" + name + "': expected ") << expected << ", but got " << tensor->value.getType();
    llvm::Expected<ArrayRef<char>> data = bytes.get(tensor->value, path);
    if (!data)
      return error(llvm::toString(data.takeError()));
    vectors.push_back({(entry.getSymName() + "/" + Twine(set) + "/" + kind + "s/" + name).str(), actual, *data});
  }
  if (found.size() < (outputs ? std::min<size_t>(1, names.size()) : names.size())) {
    size_t missing = 0;
    while (found.count(missing))
      ++missing;
    return error("'" + folder + "': expected " + kind + "_0.pb and so on for the " + Twine(names.size()) + " " + kind + "s of entry '" +
                 entry.getSymName() + "', but '" + cast<StringAttr>(names[missing]).getValue() + "' is missing");
  }
  return success();
}

LogicalResult Packer::addEntry(exec::EntryOp entry, ArrayRef<std::string> folders) {
  for (auto [set, folder] : llvm::enumerate(folders))
    if (failed(addTensors(entry, folder, set, /*outputs=*/false)) || failed(addTensors(entry, folder, set, /*outputs=*/true)))
      return failure();
  return success();
}

std::string Packer::finish() {
  llvm::sort(vectors, [](const Vector &a, const Vector &b) {
    unsigned width = elementBytes(a.type.getElementType()), other = elementBytes(b.type.getElementType());
    return std::tie(other, a.name) < std::tie(width, b.name); // wide ones first; names differ
  });
  std::string header;
  llvm::raw_string_ostream out(header);
  llvm::json::OStream json(out);
  json.object([&] {
    uint64_t offset = 0;
    for (const Vector &vector : vectors) {
      json.attributeObject(vector.name, [&] {
        json.attribute("dtype", typeName(vector.type.getElementType()));
        json.attributeArray("shape", [&] {
          for (int64_t dim : vector.type.getShape())
            json.value(dim);
        });
        json.attributeArray("data_offsets", [&] {
          json.value(int64_t(offset));
          json.value(int64_t(offset += vector.bytes.size()));
        });
      });
    }
  });
  header.resize(llvm::alignTo(header.size(), 8), ' ');
  std::string result(8, 0);
  llvm::support::endian::write64le(result.data(), header.size());
  result += header;
  for (const Vector &vector : vectors)
    result.append(vector.bytes.begin(), vector.bytes.end());
  return result;
}

/// Folders test_data_set_* in `folder`, by name.
std::vector<std::string> testDataSets(StringRef folder) {
  std::vector<std::string> result;
  std::error_code error;
  for (llvm::sys::fs::directory_iterator it(folder, error), end; it != end && !error; it.increment(error))
    if (llvm::sys::path::filename(it->path()).starts_with("test_data_set_") && llvm::sys::fs::is_directory(it->path()))
      result.push_back(it->path());
  llvm::sort(result);
  return result;
}

} // namespace

FailureOr<std::string> msa::packTestVectors(ModuleOp module, StringRef folder) {
  Packer packer(module);
  auto entries = llvm::to_vector(module.getOps<exec::EntryOp>());
  size_t sets = 0;
  for (exec::EntryOp entry : entries) {
    llvm::SmallString<256> own(folder);
    llvm::sys::path::append(own, entry.getSymName());
    std::vector<std::string> folders = testDataSets(own);
    if (entries.size() == 1)
      llvm::append_range(folders, testDataSets(folder));
    sets += folders.size();
    if (failed(packer.addEntry(entry, folders)))
      return failure();
  }
  if (!sets)
    return emitError(UnknownLoc::get(module.getContext()),
                     "expected test data in '" + folder + "', in folders " +
                         (entries.size() == 1 ? Twine("test_data_set_0, test_data_set_1, ...") : Twine("ENTRY/test_data_set_0, ...")) +
                         " of input_0.pb, output_0.pb and so on, but there is none");
  return packer.finish();
}
