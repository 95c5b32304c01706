// SPDX-License-Identifier: Apache-2.0

#include "Case.h"

#include "runtime/kernel_abi.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace cases {

//===--- Tensors. ---===//

Element element(const std::string &name) {
  static const std::map<std::string, Element> names = {{"f32", Element::F32},       {"f16", Element::F16}, {"bf16", Element::BF16},
                                                       {"f8E4M3FN", Element::E4M3}, {"i32", Element::I32}, {"i64", Element::I64}};
  auto found = names.find(name);
  if (found == names.end())
    throw Error("no element type is called '" + name + "'");
  return found->second;
}

unsigned elementBytes(Element element) {
  switch (element) {
  case Element::E4M3: return 1;
  case Element::F16:
  case Element::BF16: return 2;
  case Element::I64: return 8;
  default: return 4;
  }
}

double rounding(Element element) {
  switch (element) {
  case Element::F32: return 0x1p-24;
  case Element::F16: return 0x1p-11;
  case Element::BF16: return 0x1p-8;
  case Element::E4M3: return 0x1p-4;
  default: return 0;
  }
}

template <typename T> static void put(std::byte *to, T value) { std::memcpy(to, &value, sizeof(value)); }
template <typename T> static T get(const std::byte *from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

std::vector<std::byte> Tensor::bytes() const {
  unsigned size = elementBytes(type);
  std::vector<std::byte> out(values.size() * size);
  for (size_t i = 0; i < values.size(); ++i) {
    std::byte *to = out.data() + i * size;
    switch (type) {
    case Element::F32: put(to, static_cast<float>(values[i])); break;
    case Element::F16: put(to, ptxemu::toFloat16(static_cast<float>(values[i]))); break;
    case Element::BF16: put(to, ptxemu::toBfloat16(static_cast<float>(values[i]))); break;
    case Element::E4M3: put(to, ptxemu::toE4m3(static_cast<float>(values[i]))); break;
    case Element::I32: put(to, static_cast<int32_t>(values[i])); break;
    case Element::U32: put(to, static_cast<uint32_t>(values[i])); break;
    case Element::I64: put(to, static_cast<int64_t>(values[i])); break;
    }
  }
  return out;
}

Tensor Tensor::from(Element type, const std::vector<std::byte> &bytes) {
  unsigned size = elementBytes(type);
  Tensor out{type, std::vector<double>(bytes.size() / size)};
  for (size_t i = 0; i < out.values.size(); ++i) {
    const std::byte *at = bytes.data() + i * size;
    switch (type) {
    case Element::F32: out.values[i] = get<float>(at); break;
    case Element::F16: out.values[i] = ptxemu::fromFloat16(get<uint16_t>(at)); break;
    case Element::BF16: out.values[i] = ptxemu::fromBfloat16(get<uint16_t>(at)); break;
    case Element::E4M3: out.values[i] = ptxemu::fromE4m3(get<uint8_t>(at)); break;
    case Element::I32: out.values[i] = get<int32_t>(at); break;
    case Element::U32: out.values[i] = get<uint32_t>(at); break;
    case Element::I64: out.values[i] = static_cast<double>(get<int64_t>(at)); break;
    }
  }
  return out;
}

Tensor Tensor::of(Element type, std::vector<double> values) { return from(type, Tensor{type, std::move(values)}.bytes()); }

Tensor Tensor::random(Element type, size_t count, std::mt19937_64 &engine, double scale) {
  std::vector<double> values(count);
  for (double &value : values) // not std::uniform_real_distribution: its numbers differ between libraries
    value = (static_cast<double>(engine() >> 11) * 0x1p-52 - 1.0) * scale;
  return of(type, std::move(values));
}

Verdict compare(const Tensor &got, const std::vector<double> &want, const std::vector<double> &slack) {
  Verdict verdict;
  if (got.values.size() != want.size()) {
    verdict.text = std::to_string(got.values.size()) + " elements, expected " + std::to_string(want.size());
    return verdict;
  }
  for (size_t i = 0; i < want.size(); ++i) {
    double off = std::abs(got.values[i] - want[i]);
    double share = off == 0 ? 0 : off / slack[i];
    if (!(share <= 1) && verdict.text.empty())
      verdict.text = "element " + std::to_string(i) + ": expected " + std::to_string(want[i]) + " +- " + std::to_string(slack[i]) + ", found " + std::to_string(got.values[i]);
    verdict.error = std::isnan(share) ? INFINITY : std::max(verdict.error, share);
  }
  verdict.ok = verdict.text.empty();
  return verdict;
}

//===--- Cases. ---===//

namespace {
struct Family {
  nlohmann::json (*shape)(const Instance &, Size);
  Case (*make)(const Instance &, const Request &);
  std::vector<nlohmann::json> (*timed)(const Instance &);
};
} // namespace

static const Family *find(const Instance &instance) {
  static const std::map<std::string, Family> table = {{"attend", {attendShape, makeAttend, timedAttend}},
                                                      {"compress", {compressShape, makeCompress, timedCompress}},
                                                      {"gather", {gatherShape, makeGather, timedGather}},
                                                      {"descriptor", {descriptorShape, makeDescriptor, nullptr}},
                                                      {"gemm", {gemmShape, makeGemm, timedGemm}},
                                                      {"route", {routeShape, makeRoute, timedRoute}}};
  auto found = table.find(instance.family);
  return found == table.end() ? nullptr : &found->second;
}

static const Family &get(const Instance &instance) {
  if (const Family *family = find(instance))
    return *family;
  throw Error("instance '" + instance.name + "': no case is known for template '" + instance.family + "'");
}

bool knows(const Instance &instance) { return find(instance) != nullptr; }

/// A missing parameter is named with its instance.
template <typename F> static auto named(const Instance &instance, F &&make) {
  try {
    return make();
  } catch (const nlohmann::json::exception &error) {
    throw Error("instance '" + instance.name + "': " + error.what());
  }
}

Case makeCase(const Instance &instance, Size size, uint64_t seed) {
  const Family &family = get(instance);
  return named(instance, [&] { return family.make(instance, {family.shape(instance, size), seed, true}); });
}

std::vector<nlohmann::json> timedShapes(const Instance &instance, bool small) {
  const Family &family = get(instance);
  if (small)
    return named(instance, [&] { return std::vector<nlohmann::json>{family.shape(instance, Size::Small)}; });
  return named(instance, [&] { return family.timed ? family.timed(instance) : std::vector<nlohmann::json>(); });
}

Case makeTimed(const Instance &instance, const nlohmann::json &shape) {
  return named(instance, [&] { return get(instance).make(instance, {shape, 1, false}); });
}

Tensor numbers(Element type, size_t count, std::mt19937_64 &engine, const Request &request) {
  constexpr size_t period = 1 << 20;
  return Tensor::random(type, request.judged ? count : std::min(count, period), engine);
}

template <typename T> static std::vector<std::byte> argument(T value) {
  std::vector<std::byte> bytes(sizeof(value));
  put(bytes.data(), value);
  return bytes;
}

Prepared::Prepared(Device &device, const Instance &instance, const Case &subject) : device(device), subject(subject) {
  for (const Buffer &buffer : subject.buffers) {
    addresses.push_back(device.allocate(std::max<uint64_t>(buffer.size(), 16), buffer.label, buffer.output));
    if (!buffer.output && !buffer.content.empty())
      for (uint64_t at = 0; at < buffer.size(); at += buffer.content.size())
        device.write(addresses.back() + at, buffer.content.data(), std::min<uint64_t>(buffer.content.size(), buffer.size() - at));
  }
  std::vector<uint64_t> passed = addresses;
  for (auto [buffer, rows] : subject.spans) {
    passed.at(buffer) = makeSpanList(device, addresses.at(buffer), rows);
  }
  for (const Launch &launch : instance.launches) {
    if (launch.workspace)
      workspaceBytes = std::max<uint64_t>(workspaceBytes, static_cast<uint64_t>(launch.workspace->evaluate(subject.scalars)));
    if (launch.workspaceZeroed)
      zeroedBytes = std::max<uint64_t>(zeroedBytes, static_cast<uint64_t>(launch.workspaceZeroed->evaluate(subject.scalars)));
  }
  if (workspaceBytes)
    workspace = device.allocate(workspaceBytes, "workspace", true);
  launches = makeCalls(device, instance, {addresses, passed, subject.scalars, subject.tiles, workspace});
}

uint64_t makeSpanList(Device &device, uint64_t data, int64_t rows) {
  // On a device the pointers in a span list are the device's.
  msa_span span{};
  uint64_t spanAddress = device.allocate(sizeof(span), "span", false), listAddress = device.allocate(sizeof(msa_span_list), "span list", false);
  std::memcpy(&span.data, &data, sizeof(span.data));
  span.rows = static_cast<decltype(span.rows)>(rows);
  device.write(spanAddress, &span, sizeof(span));
  msa_span_list list{};
  std::memcpy(&list.spans, &spanAddress, sizeof(list.spans));
  list.count = 1;
  list.rows = static_cast<decltype(list.rows)>(rows);
  device.write(listAddress, &list, sizeof(list));
  return listAddress;
}

std::vector<Call> makeCalls(Device &device, const Instance &instance, const Arguments &arguments) {
  std::vector<Call> calls;
  for (const Launch &launch : instance.launches) {
    Call call;
    call.symbol = launch.symbol;
    for (int axis = 0; axis < 3; ++axis)
      call.grid[axis] = static_cast<uint32_t>(launch.grid[axis].evaluate(arguments.scalars));
    if (launch.persistent)
      call.grid[0] = std::min(call.grid[0], launch.persistent * device.multiprocessors());
    if (device.gridLimit())
      call.grid[0] = std::min(call.grid[0], device.gridLimit());
    if (launch.cluster > 1)
      call.grid[0] = (call.grid[0] + launch.cluster - 1) / launch.cluster * launch.cluster;
    if (!call.grid[0] || !call.grid[1] || !call.grid[2])
      continue;
    call.block = launch.block;
    call.cluster = launch.cluster;
    call.dynamicShared = launch.dynamicShared;
    for (uint64_t address : arguments.passed)
      call.arguments.push_back(argument(address));
    for (int64_t scalar : arguments.scalars)
      call.arguments.push_back(argument(scalar));
    call.arguments.push_back(argument(arguments.tiles));
    call.arguments.push_back(argument(arguments.workspace));
    for (const TensorMap &map : launch.tensorMaps)
      call.arguments.push_back(device.encode(map, arguments.scalars, arguments.data.at(map.buffer)));
    calls.push_back(std::move(call));
  }
  return calls;
}

void Prepared::poison() {
  for (size_t i = 0; i < addresses.size(); ++i)
    if (subject.buffers[i].output)
      device.fill(addresses[i], 0xFF, subject.buffers[i].size());
  if (workspaceBytes) {
    device.fill(workspace, 0xFF, workspaceBytes);
    device.fill(workspace, 0, zeroedBytes);
  }
}

void Prepared::shrinkGrids(unsigned divisor) {
  for (Call &call : launches)
    for (unsigned axis = 0; axis < 3; ++axis) {
      unsigned whole = axis == 0 ? call.cluster : 1;
      call.grid[axis] = ((call.grid[axis] + divisor - 1) / divisor + whole - 1) / whole * whole;
    }
}

std::vector<std::vector<std::byte>> Prepared::contents() const {
  std::vector<std::vector<std::byte>> all;
  for (size_t i = 0; i < addresses.size(); ++i) {
    all.emplace_back(subject.buffers[i].output ? subject.buffers[i].size() : 0);
    if (!all.back().empty())
      device.read(all.back().data(), addresses[i], all.back().size());
  }
  return all;
}

std::string Prepared::run(Verdict &verdict) {
  poison();
  std::string report = device.run(launches);
  if (!report.empty())
    return report;
  verdict = subject.judge(contents());
  std::vector<std::byte> left(zeroedBytes);
  if (zeroedBytes)
    device.read(left.data(), workspace, zeroedBytes);
  if (verdict.ok && std::any_of(left.begin(), left.end(), [](std::byte b) { return b != std::byte{0}; })) {
    verdict.ok = false;
    verdict.text = "the workspace's first " + std::to_string(zeroedBytes) + " bytes are not 0 again";
  }
  return "";
}

} // namespace cases
