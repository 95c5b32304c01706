// SPDX-License-Identifier: Apache-2.0
//
// msa-run verify: runs the test vectors that an artifact carries, on this machine, and compares. The segment is a safetensors file
// whose tensors are called ENTRY/SET/inputs/NAME and ENTRY/SET/outputs/NAME; it is not trusted.

#include "tools/run/command.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

namespace msa::tool {

namespace {

using nlohmann::json;

struct Options {
  LoadOptions load;
  double relative = 1e-3, absolute = 1e-5;
  bool json = false;
};

/// Inputs and outputs of one set.
struct TestSet {
  std::map<std::string, msa_tensor> inputs, outputs;
};

using TestSets = std::map<std::pair<std::string, uint64_t>, TestSet>; // by entry and number

Status damaged(const std::string &what) { return Status(MSA_INVALID_ARTIFACT, "the artifact's test vectors are damaged: " + what); }

/// Views of the segment's tensors.
Status parse(const msa_segment &segment, TestSets &sets) {
  static const std::map<std::string, msa_element_type> kTypes = {
      {"F32", MSA_F32}, {"F16", MSA_F16}, {"BF16", MSA_BF16}, {"F64", MSA_F64}, {"I8", MSA_I8},   {"I16", MSA_I16}, {"I32", MSA_I32},
      {"I64", MSA_I64}, {"U8", MSA_U8},   {"U16", MSA_U16},   {"U32", MSA_U32}, {"U64", MSA_U64}, {"BOOL", MSA_BOOL}};
  auto *bytes = static_cast<const uint8_t *>(segment.data);
  uint64_t length = 0;
  if (segment.size < 8)
    return damaged("expected at least 8 bytes, found " + std::to_string(segment.size));
  for (int i = 0; i < 8; ++i)
    length |= uint64_t(bytes[i]) << 8 * i;
  if (length > segment.size - 8)
    return damaged("a header of " + std::to_string(length) + " bytes does not fit");
  json header = json::parse(bytes + 8, bytes + 8 + length, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object())
    return damaged("the header is no JSON object");
  const uint8_t *data = bytes + 8 + length;
  uint64_t size = segment.size - 8 - length;
  try {
    for (const auto &[name, value] : header.items()) {
      if (name == "__metadata__")
        continue;
      // ENTRY/SET/inputs/NAME: entries have no slash in them, names of tensors may.
      size_t first = name.find('/'), second = name.find('/', first + 1), third = name.find('/', second + 1);
      if (first == name.npos || second == name.npos || third == name.npos)
        return damaged("'" + name + "' is not ENTRY/SET/inputs/NAME");
      std::string kind = name.substr(second + 1, third - second - 1);
      auto type = kTypes.find(value.at("dtype").get<std::string>());
      auto shape = value.at("shape").get<std::vector<uint64_t>>();
      auto offsets = value.at("data_offsets").get<std::vector<uint64_t>>();
      if (type == kTypes.end() || shape.size() > MSA_MAX_RANK || offsets.size() != 2 || (kind != "inputs" && kind != "outputs"))
        return damaged("'" + name + "' is of no kind that is known");
      msa_tensor tensor = {};
      tensor.type = type->second;
      tensor.rank = uint32_t(shape.size());
      uint64_t expected = msa_element_size(tensor.type);
      for (size_t i = 0; i < shape.size(); ++i) {
        if (shape[i] > INT64_MAX || __builtin_mul_overflow(expected, shape[i], &expected))
          return damaged("'" + name + "' is too large");
        tensor.shape[i] = int64_t(shape[i]);
      }
      if (offsets[0] > offsets[1] || offsets[1] > size || offsets[1] - offsets[0] != expected)
        return damaged("'" + name + "' needs " + std::to_string(expected) + " bytes, which are not where it says");
      tensor.data = const_cast<uint8_t *>(data + offsets[0]); // bound as an input or compared, never written
      if (uintptr_t(tensor.data) % msa_element_size(tensor.type))
        return damaged("'" + name + "' is not aligned to its elements");
      std::string number = name.substr(first + 1, second - first - 1);
      if (number.empty() || number.size() > 9 || number.find_first_not_of("0123456789") != number.npos)
        return damaged("'" + name + "' is not ENTRY/SET/inputs/NAME");
      TestSet &set = sets[{name.substr(0, first), std::stoull(number)}];
      (kind == "inputs" ? set.inputs : set.outputs)[name.substr(third + 1)] = tensor;
    }
  } catch (const json::exception &error) {
    return damaged(error.what());
  }
  return {};
}

double element(const msa_tensor &tensor, uint64_t index) {
  auto read = [&](auto value) {
    std::memcpy(&value, static_cast<const uint8_t *>(tensor.data) + index * sizeof(value), sizeof(value));
    return value;
  };
  switch (tensor.type) {
  case MSA_F32:
    return double(read(float()));
  case MSA_F64:
    return read(double());
  case MSA_F16:
    return double(read(_Float16()));
  case MSA_BF16: {
    uint32_t bits = uint32_t(read(uint16_t())) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return double(value);
  }
  default:
    return 0; // compared as bytes
  }
}

struct Comparison {
  uint64_t elements = 0;
  uint64_t different = 0; // beyond the tolerance
  double largest = 0;     // absolute difference; of floating-point elements
};

/// Floating point: |a - b| <= absolute + relative * |b|, NaN equals NaN, as numpy.testing.assert_allclose; all else exactly.
Comparison compare(const msa_tensor &actual, const msa_tensor &expected, const Options &options) {
  Comparison result;
  result.elements = 1;
  for (uint32_t i = 0; i < expected.rank; ++i)
    result.elements *= uint64_t(expected.shape[i]);
  size_t width = msa_element_size(expected.type);
  bool floating = expected.type == MSA_F32 || expected.type == MSA_F64 || expected.type == MSA_F16 || expected.type == MSA_BF16;
  for (uint64_t i = 0; i < result.elements; ++i) {
    auto at = [&](const msa_tensor &tensor) { return static_cast<const uint8_t *>(tensor.data) + i * width; };
    if (!floating) {
      result.different += std::memcmp(at(actual), at(expected), width) != 0;
      continue;
    }
    double a = element(actual, i), b = element(expected, i);
    if ((std::isnan(a) && std::isnan(b)) || a == b)
      continue;
    double difference = std::fabs(a - b);
    // Written so that NaN counts as different.
    if (!(difference <= options.absolute + options.relative * std::fabs(b)))
      ++result.different;
    if (!(difference <= result.largest))
      result.largest = difference;
  }
  return result;
}

std::string describe(const msa_tensor &tensor) {
  std::string text = std::string(msa_element_name(tensor.type)) + " [";
  for (uint32_t i = 0; i < tensor.rank; ++i)
    text += (i ? ", " : "") + std::to_string(tensor.shape[i]);
  return text + "]";
}

Status verify(const Options &options) {
  Runtime runtime;
  Program program;
  if (Status status = options.load.load(runtime, program); !status.ok())
    return status;
  msa_segment segment;
  if (!program.findSegment(MSA_SEGMENT_TEST_VECTORS, segment))
    return Status(MSA_NOT_FOUND, "the artifact carries no test vectors: compile it with 'msac --test-vectors FOLDER'");
  TestSets sets;
  if (Status status = parse(segment, sets); !status.ok())
    return status;

  json rows = json::array();
  size_t wrong = 0;
  for (const auto &[key, set] : sets) {
    const auto &[entry, number] = key;
    std::string where = entry + "/" + std::to_string(number);
    Context context;
    Invocation invocation;
    if (Status status = Context::create(program, context); !status.ok())
      return status;
    if (Status status = Invocation::create(context, entry, invocation); !status.ok())
      return status;
    for (const auto &[name, tensor] : set.inputs)
      if (Status status = invocation.bindInput(name, tensor); !status.ok())
        return Status(status.code(), where + ": " + status.message());
    if (Status status = invocation.run(); !status.ok())
      return Status(status.code(), where + ": " + status.message());
    for (const auto &[name, expected] : set.outputs) {
      msa_tensor actual;
      if (Status status = invocation.output(name, actual); !status.ok())
        return Status(status.code(), where + ": " + status.message());
      bool sameShape = actual.type == expected.type && actual.rank == expected.rank &&
                       std::equal(actual.shape, actual.shape + actual.rank, expected.shape);
      Comparison found = sameShape ? compare(actual, expected, options) : Comparison();
      bool ok = sameShape && found.different == 0;
      wrong += !ok;
      rows.push_back({{"entry", entry}, {"set", number}, {"output", name}, {"ok", ok}, {"elements", found.elements},
                      {"different", found.different}, {"max_abs", found.largest}});
      if (!options.json)
        std::printf("%-24s %-32s %s\n", where.c_str(), name.c_str(),
                    !sameShape ? ("expected " + describe(expected) + ", found " + describe(actual)).c_str()
                    : ok       ? "ok"
                               : (std::to_string(found.different) + " of " + std::to_string(found.elements) +
                            " elements differ, by at most " + json(found.largest).dump())
                               .c_str());
    }
  }
  if (options.json)
    std::printf("%s\n", json{{"variant", program.variant()}, {"ok", wrong == 0}, {"outputs", rows}}.dump(2).c_str());
  std::fflush(stdout); // rows before the error
  if (wrong)
    return Status(MSA_PROGRAM_FAILED, std::to_string(wrong) + " of " + std::to_string(rows.size()) + " outputs are not as expected");
  return {};
}

} // namespace

void declareVerify(CLI::App &app, Run &run) {
  auto options = std::make_shared<Options>();
  CLI::App *command = app.add_subcommand("verify", "run the test vectors that the artifact carries and compare (msac --test-vectors)");
  options->load.declare(*command);
  command->add_option("--rtol", options->relative, "relative tolerance of floating-point outputs")->capture_default_str()->check(CLI::NonNegativeNumber);
  command->add_option("--atol", options->absolute, "absolute tolerance of floating-point outputs")->capture_default_str()->check(CLI::NonNegativeNumber);
  command->add_flag("--json", options->json, "print the result as JSON");
  command->callback([options, &run] { run = [options] { return verify(*options); }; });
}

} // namespace msa::tool
