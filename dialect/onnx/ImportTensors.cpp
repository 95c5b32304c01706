// SPDX-License-Identifier: Apache-2.0

#include "dialect/onnx/ImportTensors.h"
#include "dialect/onnx/ElementTypes.h"
#include "dialect/onnx/OnnxDialect.h"
#include "dialect/onnx/Quoted.h"
#include "mlir/IR/AsmState.h"
#include "llvm/ADT/bit.h"
#include "llvm/Support/MathExtras.h"
#include <cstring>

static_assert(llvm::endianness::native == llvm::endianness::little, "tensors in ONNX files are little-endian");

using namespace mlir;
using namespace msa::onnx;
using llvm::Twine;

/// Past this no tensor is real, and rank-sized loops would be a burden.
static constexpr int maxRank = 64;

InFlightDiagnostic FileErrors::error(const Twine &where) const {
  std::string place = where.str();
  InFlightDiagnostic diagnostic = emitError(UnknownLoc::get(context));
  diagnostic << quoted(path) << ": ";
  if (!place.empty())
    diagnostic << place << ": ";
  return diagnostic;
}

void FileErrors::warn(const Twine &message) const {
  emitWarning(UnknownLoc::get(context)) << quoted(path) << ": " << message;
}

/// Checks dims (ShapedType::kDynamic = unknown): rank, signs, and that sizes in bits fit 63 bits. `bytes` is the size of a
/// static tensor.
static LogicalResult checkDims(ArrayRef<int64_t> dims, unsigned elementBits, const FileErrors &errors,
                               const Twine &where, uint64_t *bytes = nullptr) {
  if (dims.size() > maxRank)
    return errors.error(where) << "expected at most " << maxRank << " dims, but got " << dims.size();
  int64_t bits = std::max(elementBits, 8u), product = bits;
  bool zero = false;
  for (auto [i, dim] : llvm::enumerate(dims)) {
    if (ShapedType::isDynamic(dim))
      continue;
    if (dim < 0)
      return errors.error(where) << "expected dim " << i << " to be at least 0, but got " << dim;
    zero |= dim == 0;
    // Zeros are left out, so that no order of multiplication can overflow later on.
    if (dim && llvm::MulOverflow(product, dim, product))
      return errors.error(where) << "the dims up to dim " << i << " (" << dim
                                 << ") give more than 2^63 bits: no such tensor can exist";
  }
  if (bytes)
    *bytes = zero ? 0 : llvm::divideCeil(static_cast<uint64_t>(product / bits) * elementBits, 8u);
  return success();
}

FailureOr<DeclaredType> msa::onnx::importType(const ::onnx::TypeProto &type, const FileErrors &errors,
                                              const Twine &whereTwine) {
  std::string where = whereTwine.str();
  MLIRContext *context = errors.context;
  auto tensorType = [&](const auto &tensor, DeclaredType &result) -> LogicalResult {
    if (!tensor.elem_type()) {
      result.type = ValueType::get(context);
      return success();
    }
    Type element = toIRElementType(context, tensor.elem_type());
    if (!element)
      return errors.error(where) << "element type " << elementTypeName(tensor.elem_type()) << " is not supported";
    if (!tensor.has_shape()) {
      result.type = UnrankedTensorType::get(element);
      return success();
    }
    SmallVector<int64_t> dims;
    SmallVector<std::string> names;
    for (const auto &dim : tensor.shape().dim()) {
      dims.push_back(ShapedType::kDynamic);
      names.emplace_back();
      if (dim.has_dim_value()) {
        if (dim.dim_value() < 0)
          return errors.error(where) << "expected dim " << dims.size() - 1
                                     << " to be at least 0, or a name for a dim that varies, but got " << dim.dim_value();
        dims.back() = dim.dim_value();
      } else if (!isText(dim.dim_param())) {
        return errors.error(where) << "expected the name of dim " << dims.size() - 1 << " to be UTF-8 text, but got "
                                   << quoted(dim.dim_param());
      } else {
        names.back() = dim.dim_param();
      }
    }
    const ElementType *elementType = findElementType(tensor.elem_type());
    if (failed(checkDims(dims, elementType->bits, errors, where)))
      return failure();
    result.type = RankedTensorType::get(dims, element);
    result.dims = std::move(names);
    return success();
  };
  auto inner = [&](const ::onnx::TypeProto &element) -> FailureOr<Type> {
    FailureOr<DeclaredType> result = importType(element, errors, where);
    if (failed(result))
      return failure();
    return result->type;
  };

  DeclaredType result;
  switch (type.value_case()) {
  case ::onnx::TypeProto::kTensorType:
    if (failed(tensorType(type.tensor_type(), result)))
      return failure();
    return result;
  case ::onnx::TypeProto::kSparseTensorType: {
    if (failed(tensorType(type.sparse_tensor_type(), result)))
      return failure();
    if (auto dense = dyn_cast<TensorType>(result.type))
      result.type = SparseType::get(context, dense);
    result.dims.reset();
    return result;
  }
  case ::onnx::TypeProto::kSequenceType: {
    FailureOr<Type> element = inner(type.sequence_type().elem_type());
    if (failed(element))
      return failure();
    result.type = SequenceType::get(context, *element);
    return result;
  }
  case ::onnx::TypeProto::kOptionalType: {
    FailureOr<Type> element = inner(type.optional_type().elem_type());
    if (failed(element))
      return failure();
    result.type = OptionalType::get(context, *element);
    return result;
  }
  case ::onnx::TypeProto::kMapType: {
    Type key = toIRElementType(context, type.map_type().key_type());
    if (!key || !isa<IntegerType, StringType>(key))
      return errors.error(where) << "expected a map's keys to be integers or strings, but got "
                                 << elementTypeName(type.map_type().key_type());
    FailureOr<Type> element = inner(type.map_type().value_type());
    if (failed(element))
      return failure();
    result.type = MapType::get(context, key, *element);
    return result;
  }
  case ::onnx::TypeProto::VALUE_NOT_SET:
    result.type = ValueType::get(context);
    return result;
  default: // what an older schema does not know, and opaque types
    return errors.error(where) << "expected a tensor, sequence, optional, map or sparse tensor type, but got kind "
                               << static_cast<int>(type.value_case()) << ", which is not supported";
  }
}

/// The values of `tensor` as raw_data would hold them.
static FailureOr<std::vector<char>> typedBytes(const ::onnx::TensorProto &tensor, const ElementType &type, uint64_t size,
                                               const FileErrors &errors, const Twine &where) {
  std::vector<char> bytes;
  auto copy = [&](const auto &values, StringRef field) -> LogicalResult {
    using Value = std::decay_t<decltype(values.Get(0))>;
    uint64_t width = std::min<uint64_t>(sizeof(Value), std::max(type.bits / 8, 1u));
    uint64_t expected = llvm::divideCeil(size, width);
    if (static_cast<uint64_t>(values.size()) != expected)
      return errors.error(where) << "expected " << expected << " values in '" << field << "' for its dims, but got "
                                 << values.size();
    bytes.reserve(size);
    for (auto [i, value] : llvm::enumerate(values)) {
      if constexpr (std::is_same_v<Value, int32_t>)
        if (value < type.low || value > type.high)
          return errors.error(where) << "expected values of " << type.name << " in [" << type.low << ", " << type.high
                                     << "], but value " << i << " of '" << field << "' is " << value;
      if constexpr (std::is_same_v<Value, uint64_t>)
        if (width == 4 && value > UINT32_MAX)
          return errors.error(where) << "expected values of " << type.name << " below 2^32, but value " << i << " of '"
                                     << field << "' is " << value;
      const char *begin = reinterpret_cast<const char *>(&value);
      bytes.insert(bytes.end(), begin, begin + width);
    }
    return success();
  };
  LogicalResult copied = failure();
  switch (type.field) {
  case TypedField::Float:
    copied = copy(tensor.float_data(), "float_data");
    break;
  case TypedField::Int32:
    copied = copy(tensor.int32_data(), "int32_data");
    break;
  case TypedField::Int64:
    copied = copy(tensor.int64_data(), "int64_data");
    break;
  case TypedField::Double:
    copied = copy(tensor.double_data(), "double_data");
    break;
  case TypedField::UInt64:
    copied = copy(tensor.uint64_data(), "uint64_data");
    break;
  case TypedField::None:
  case TypedField::String:
    llvm_unreachable("strings are not bytes");
  }
  if (failed(copied))
    return failure();
  return bytes;
}

FailureOr<TensorImporter::Bytes> TensorImporter::externalBytes(const ::onnx::TensorProto &tensor, uint64_t size,
                                                               const Twine &where) {
  std::optional<StringRef> location;
  uint64_t offset = 0, length = size;
  llvm::StringMap<bool> seen;
  for (const ::onnx::StringStringEntryProto &entry : tensor.external_data()) {
    StringRef key = entry.key(), value = entry.value();
    if (!seen.try_emplace(key, true).second)
      return errors.error(where) << "expected one external data entry " << quoted(key) << ", but there are several";
    if (key == "location") {
      location = value;
    } else if (key == "offset" || key == "length") {
      if (value.getAsInteger(10, key == "offset" ? offset : length))
        return errors.error(where) << "expected the external data " << quoted(key)
                                   << " to be a number of bytes, but got " << quoted(value);
    }
  }
  if (!location)
    return errors.error(where) << "expected external data to have a 'location'";
  std::string reason;
  std::shared_ptr<const MappedFile> data = external.open(*location, reason);
  if (!data)
    return errors.error(where) << "external data " << quoted(*location) << ": " << reason;
  if (length != size)
    return errors.error(where) << "expected " << size << " bytes of external data for its dims, but 'length' is "
                               << length;
  uint64_t available = data->bytes().size();
  if (offset > available || length > available - offset)
    return errors.error(where) << "external data " << quoted(*location) << ": expected " << length << " bytes at offset "
                               << offset << ", but the file has " << available << " bytes";
  return Bytes{data->bytes().slice(offset, length), data};
}

ElementsAttr TensorImporter::toResource(RankedTensorType type, StringRef name, Bytes bytes, size_t alignment) {
  StringRef key = name.empty() ? "tensor" : name;
  bool aligned = reinterpret_cast<uintptr_t>(bytes.data.data()) % alignment == 0;
  // Typed access to a resource needs alignment. Weights inside an .onnx file lie anywhere, those in external files on pages.
  if (!bytes.owner || !aligned)
    return DenseResourceElementsAttr::get(type, key,
                                          HeapAsmResourceBlob::allocateAndCopyWithAlign(bytes.data, alignment));
  auto known = resources.find({bytes.data.data(), bytes.data.size()});
  if (known != resources.end())
    return DenseResourceElementsAttr::get(type, known->second);
  auto keepMapped = [owner = bytes.owner](void *, size_t, size_t) {};
  auto result = DenseResourceElementsAttr::get(
      type, key, AsmResourceBlob(bytes.data, alignment, std::move(keepMapped), /*dataIsMutable=*/false));
  resources.try_emplace({bytes.data.data(), bytes.data.size()}, result.getRawHandle());
  return result;
}

/// One byte an element, from several elements a byte.
static std::vector<char> unpack(ArrayRef<char> packed, int64_t count, unsigned bits) {
  std::vector<char> result(count);
  unsigned perByte = 8 / bits;
  for (int64_t i = 0; i < count; ++i)
    result[i] = static_cast<uint8_t>(packed[i / perByte]) >> (i % perByte * bits) & ((1 << bits) - 1);
  return result;
}

FailureOr<ElementsAttr> TensorImporter::import(const ::onnx::TensorProto &tensor, StringRef name,
                                               const Twine &whereTwine, std::optional<ArrayRef<char>> raw) {
  std::string where = whereTwine.str();
  const ElementType *type = findElementType(tensor.data_type());
  if (!type)
    return errors.error(where) << "element type " << elementTypeName(tensor.data_type()) << " is not supported";
  if (tensor.has_segment())
    return errors.error(where) << "tensors in segments are not supported";
  SmallVector<int64_t> dims(tensor.dims().begin(), tensor.dims().end());
  for (auto [i, dim] : llvm::enumerate(dims)) // before the IR takes one for "unknown"
    if (dim < 0)
      return errors.error(where) << "expected dim " << i << " to be at least 0, but got " << dim;
  uint64_t size = 0;
  if (failed(checkDims(dims, type->bits, errors, where, &size)))
    return failure();
  RankedTensorType tensorType = RankedTensorType::get(dims, toIRElementType(errors.context, type->code));
  uint64_t count = tensorType.getNumElements();

  bool hasRaw = raw || tensor.has_raw_data();
  bool hasTyped = tensor.float_data_size() || tensor.int32_data_size() || tensor.int64_data_size() ||
                  tensor.double_data_size() || tensor.uint64_data_size() || tensor.string_data_size();
  bool isExternal = tensor.data_location() == ::onnx::TensorProto::EXTERNAL;
  if (hasRaw + hasTyped + isExternal > 1)
    return errors.error(where) << "expected data in one place, but got "
                               << (isExternal ? "external data and data in the file" : "raw_data and typed data");

  if (type->field == TypedField::String) {
    if (hasRaw || isExternal)
      return errors.error(where) << "expected strings in 'string_data', but got "
                                 << (isExternal ? "external data" : "raw_data");
    if (static_cast<uint64_t>(tensor.string_data_size()) != count)
      return errors.error(where) << "expected " << count << " values in 'string_data' for its dims, but got "
                                 << tensor.string_data_size();
    SmallVector<StringRef> strings(tensor.string_data().begin(), tensor.string_data().end());
    return cast<ElementsAttr>(DenseElementsAttr::get(tensorType, ArrayRef<StringRef>(strings)));
  }

  std::vector<char> own; // converted data, if any
  Bytes bytes;
  if (isExternal) {
    FailureOr<Bytes> found = externalBytes(tensor, size, where);
    if (failed(found))
      return failure();
    bytes = *found;
  } else if (hasRaw) {
    bytes = raw ? Bytes{*raw, file} : Bytes{{tensor.raw_data().data(), tensor.raw_data().size()}, nullptr};
    if (bytes.data.size() != size)
      return errors.error(where) << "expected " << size << " bytes of data for its dims, but got " << bytes.data.size();
  } else {
    FailureOr<std::vector<char>> typed = typedBytes(tensor, *type, size, errors, where);
    if (failed(typed))
      return failure();
    own = std::move(*typed);
    bytes = {own, nullptr};
  }
  if (count == 0)
    return cast<ElementsAttr>(DenseElementsAttr::get(tensorType, ArrayRef<Attribute>()));

  if (type->bits < 8) {
    own = unpack(bytes.data, count, type->bits);
    bytes = {own, nullptr};
  }
  if (tensorType.getElementType().isInteger(1))
    for (auto [i, byte] : llvm::enumerate(bytes.data))
      if (byte != 0 && byte != 1)
        return errors.error(where) << "expected bytes 0 and 1 for BOOL, but byte " << i << " is "
                                   << static_cast<unsigned>(static_cast<uint8_t>(byte));
  if (bytes.data.size() > options.denseLimit)
    return toResource(tensorType, name, bytes,
                      std::max(1u, type->bits / (isa<ComplexType>(tensorType.getElementType()) ? 16 : 8)));
  if (tensorType.getElementType().isInteger(1))
    return cast<ElementsAttr>(DenseElementsAttr::get(
        tensorType, ArrayRef<bool>(reinterpret_cast<const bool *>(bytes.data.data()), bytes.data.size())));
  return cast<ElementsAttr>(DenseElementsAttr::getFromRawBuffer(tensorType, bytes.data));
}

FailureOr<ElementsAttr> TensorImporter::import(const ::onnx::SparseTensorProto &tensor, StringRef name,
                                               const Twine &whereTwine) {
  std::string where = whereTwine.str();
  const ElementType *type = findElementType(tensor.values().data_type());
  if (!type || type->field == TypedField::String)
    return errors.error(where) << "sparse tensors of element type " << elementTypeName(tensor.values().data_type())
                               << " are not supported";
  SmallVector<int64_t> dims(tensor.dims().begin(), tensor.dims().end());
  for (auto [i, dim] : llvm::enumerate(dims))
    if (dim < 0)
      return errors.error(where) << "expected dim " << i << " to be at least 0, but got " << dim;
  if (failed(checkDims(dims, type->bits, errors, where)))
    return failure();

  // The IR's sparse elements hold dense parts only.
  ImportOptions all;
  all.denseLimit = UINT64_MAX;
  TensorImporter parts(errors, all, file, external, resources);
  FailureOr<ElementsAttr> values = parts.import(tensor.values(), name, where + " (values)");
  if (failed(values))
    return failure();
  FailureOr<ElementsAttr> indices = parts.import(tensor.indices(), name, where + " (indices)");
  if (failed(indices))
    return failure();
  ShapedType valuesType = values->getShapedType(), indicesType = indices->getShapedType();
  int64_t rank = dims.size(), count = valuesType.getNumElements();
  bool linear = indicesType.getRank() == 1 && indicesType.getDimSize(0) == count;
  bool coordinates = indicesType.getRank() == 2 && indicesType.getDimSize(0) == count && indicesType.getDimSize(1) == rank;
  if (valuesType.getRank() != 1 || !indicesType.getElementType().isInteger(64) || !(linear || coordinates))
    return errors.error(where) << "expected values [n] and indices i64 [n] or [n, " << rank << "], but got "
                               << values->getShapedType() << " and " << indices->getShapedType();

  SmallVector<int64_t> flat(cast<DenseElementsAttr>(*indices).value_begin<int64_t>(),
                            cast<DenseElementsAttr>(*indices).value_end<int64_t>());
  int64_t total = ShapedType::getNumElements(dims);
  SmallVector<int64_t> positions;
  for (int64_t i = 0; i < count; ++i) {
    SmallVector<int64_t> position(rank);
    if (coordinates) {
      for (int64_t d = 0; d < rank; ++d)
        position[d] = flat[i * rank + d];
    } else {
      if (flat[i] < 0 || flat[i] >= total)
        return errors.error(where) << "expected indices in [0, " << total << "), but index " << i << " is " << flat[i];
      int64_t rest = flat[i];
      for (int64_t d = rank; d-- > 0; rest /= dims[d])
        position[d] = rest % dims[d];
    }
    for (int64_t d = 0; d < rank; ++d)
      if (position[d] < 0 || position[d] >= dims[d])
        return errors.error(where) << "expected indices of dim " << d << " in [0, " << dims[d] << "), but index " << i
                                   << " is " << position[d];
    positions.append(position);
  }
  auto positionsType = RankedTensorType::get({count, rank}, IntegerType::get(errors.context, 64));
  return cast<ElementsAttr>(
      SparseElementsAttr::get(RankedTensorType::get(dims, valuesType.getElementType()),
                              DenseIntElementsAttr::get(positionsType, positions), cast<DenseElementsAttr>(*values)));
}
