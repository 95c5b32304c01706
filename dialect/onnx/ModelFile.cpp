// SPDX-License-Identifier: Apache-2.0

#include "dialect/onnx/ModelFile.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include <climits>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

using namespace llvm;
using namespace msa::onnx;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

/// Messages within messages. A nested graph costs three levels (graph, node, attribute), so this allows some 30 of them.
static constexpr int recursionLimit = 100;

namespace {
/// One field of a message in wire format.
struct Record {
  int field;
  bool hasPayload; ///< length-delimited
  StringRef payload;
  StringRef whole; ///< with its tag
};
} // namespace

/// Calls `visit` for each field of `message`. False if it is malformed or `visit` returns false.
static bool forEachRecord(StringRef message, function_ref<bool(const Record &)> visit) {
  CodedInputStream in(reinterpret_cast<const uint8_t *>(message.data()), message.size());
  in.SetTotalBytesLimit(INT_MAX);
  in.SetRecursionLimit(recursionLimit);
  while (true) {
    int begin = in.CurrentPosition();
    uint32_t tag = in.ReadTag();
    if (!tag)
      return in.ConsumedEntireMessage() && in.CurrentPosition() == static_cast<int>(message.size());
    Record record{WireFormatLite::GetTagFieldNumber(tag), false, {}, {}};
    if (WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      uint32_t length;
      if (!in.ReadVarint32(&length))
        return false;
      size_t start = in.CurrentPosition();
      if (length > message.size() - start || !in.Skip(length))
        return false;
      record.hasPayload = true;
      record.payload = message.substr(start, length);
    } else if (!WireFormatLite::SkipField(&in, tag)) {
      return false;
    }
    record.whole = message.slice(begin, in.CurrentPosition());
    if (!visit(record))
      return false;
  }
}

static void appendMessage(std::string &out, int field, StringRef payload) {
  uint8_t buffer[20];
  uint8_t *end = CodedOutputStream::WriteVarint32ToArray(
      WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED), buffer);
  end = CodedOutputStream::WriteVarint32ToArray(payload.size(), end);
  out.append(reinterpret_cast<char *>(buffer), end - buffer);
  out += payload;
}

/// Copies a model in wire format to `out`, all but the raw bytes of its initializers: the bulk of a file, which protobuf
/// would copy to the heap.
static bool separateInitializers(StringRef model, std::string &out,
                                 SmallVectorImpl<std::optional<ArrayRef<char>>> &bytes) {
  return forEachRecord(model, [&](const Record &inModel) {
    if (inModel.field != ::onnx::ModelProto::kGraphFieldNumber || !inModel.hasPayload) {
      out += inModel.whole;
      return true;
    }
    std::string graph;
    bool ok = forEachRecord(inModel.payload, [&](const Record &inGraph) {
      if (inGraph.field != ::onnx::GraphProto::kInitializerFieldNumber || !inGraph.hasPayload) {
        graph += inGraph.whole;
        return true;
      }
      std::string tensor;
      bytes.emplace_back();
      bool ok = forEachRecord(inGraph.payload, [&](const Record &inTensor) {
        if (inTensor.field == ::onnx::TensorProto::kRawDataFieldNumber && inTensor.hasPayload)
          bytes.back() = ArrayRef<char>(inTensor.payload.data(), inTensor.payload.size());
        else
          tensor += inTensor.whole;
        return true;
      });
      appendMessage(graph, inGraph.field, tensor);
      return ok;
    });
    appendMessage(out, inModel.field, graph);
    return ok;
  });
}

std::unique_ptr<ModelFile> ModelFile::parse(StringRef path, std::string &error) {
  auto result = std::make_unique<ModelFile>();
  result->file = MappedFile::open(path, error);
  if (!result->file)
    return nullptr;
  ArrayRef<char> bytes = result->file->bytes();
  if (bytes.empty()) {
    error = "expected an ONNX model, but the file is empty";
    return nullptr;
  }
  if (bytes.size() > INT_MAX) {
    error = "expected at most 2 GiB, the limit of protobuf, but the file has " + std::to_string(bytes.size()) +
            " bytes: save the weights as external data";
    return nullptr;
  }
  std::string skeleton;
  bool ok = separateInitializers({bytes.data(), bytes.size()}, skeleton, result->initializerBytes);
  if (ok) {
    CodedInputStream in(reinterpret_cast<const uint8_t *>(skeleton.data()), skeleton.size());
    in.SetTotalBytesLimit(INT_MAX);
    in.SetRecursionLimit(recursionLimit);
    ok = result->model.ParseFromCodedStream(&in) && in.ConsumedEntireMessage();
  }
  if (!ok) {
    error = "expected an ONNX model (protobuf), but the file is truncated, damaged, of another kind, or holds graphs or "
            "types nested more than " +
            std::to_string(recursionLimit) + " messages deep";
    return nullptr;
  }
  return result;
}

/// Calls `visit` with the payload of each field `number` among the fields that the schema did not know.
[[maybe_unused]] static void forEachUnknown(const std::string &unknown, int number, function_ref<void(StringRef)> visit) {
  forEachRecord(unknown, [&](const Record &record) {
    if (record.field == number && record.hasPayload)
      visit(record.payload);
    return true;
  });
}

template <typename Entries> static Metadata toMetadata(const Entries &entries) {
  Metadata result;
  for (const ::onnx::StringStringEntryProto &entry : entries)
    result.emplace_back(entry.key(), entry.value());
  return result;
}

#if MSA_ONNX_HAS_OVERLOAD
std::string msa::onnx::overloadOf(const ::onnx::NodeProto &node) { return node.overload(); }
std::string msa::onnx::overloadOf(const ::onnx::FunctionProto &function) { return function.overload(); }
Metadata msa::onnx::metadataOf(const ::onnx::NodeProto &node) { return toMetadata(node.metadata_props()); }
#else
static std::string unknownString(const std::string &unknown, int number) {
  std::string result;
  forEachUnknown(unknown, number, [&](StringRef payload) { result = payload.str(); });
  return result;
}
std::string msa::onnx::overloadOf(const ::onnx::NodeProto &node) { return unknownString(node.unknown_fields(), 8); }
std::string msa::onnx::overloadOf(const ::onnx::FunctionProto &function) {
  return unknownString(function.unknown_fields(), 13);
}
Metadata msa::onnx::metadataOf(const ::onnx::NodeProto &node) {
  std::vector<::onnx::StringStringEntryProto> entries;
  forEachUnknown(node.unknown_fields(), 9, [&](StringRef payload) {
    if (!entries.emplace_back().ParseFromArray(payload.data(), payload.size()))
      entries.pop_back();
  });
  return toMetadata(entries);
}
#endif

std::vector<::onnx::AttributeProto> msa::onnx::defaultsOf(const ::onnx::FunctionProto &function) {
#if MSA_ONNX_HAS_ATTRIBUTE_PROTO
  return {function.attribute_proto().begin(), function.attribute_proto().end()};
#else
  std::vector<::onnx::AttributeProto> result;
  forEachUnknown(function.unknown_fields(), 11, [&](StringRef payload) {
    CodedInputStream in(reinterpret_cast<const uint8_t *>(payload.data()), payload.size());
    in.SetRecursionLimit(recursionLimit);
    if (!result.emplace_back().ParseFromCodedStream(&in))
      result.pop_back();
  });
  return result;
#endif
}
