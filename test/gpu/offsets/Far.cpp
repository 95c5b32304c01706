// SPDX-License-Identifier: Apache-2.0

#include "Far.h"

#include <regex>

namespace far {

static ptxemu::Options options() {
  ptxemu::Options made;
  made.races = false; // of other tests; here it would remember too much
  made.traffic = false;
  made.instructionLimit = 20'000'000'000;
  return made;
}

Launcher::Launcher(const Instance &instance) : instance(instance), device(nullptr, options(), 1) {
  arguments.data.assign(instance.parameters.at("buffers").get<size_t>(), 0);
  arguments.scalars.assign(instance.parameters.at("scalars").get<size_t>(), 0);
  arguments.passed = arguments.data;
}

size_t Launcher::numberOf(const char *parameter) const { return instance.parameters.at(parameter).get<size_t>(); }

void Launcher::reserve(const char *parameter, int64_t bytes, bool output) {
  size_t number = numberOf(parameter);
  arguments.data.at(number) = arguments.passed.at(number) = device.reserve(static_cast<uint64_t>(bytes), parameter, output);
}

void Launcher::put(const char *parameter, int64_t byte, const Tensor &values) {
  std::vector<std::byte> bytes = values.bytes();
  device.write(arguments.data.at(numberOf(parameter)) + static_cast<uint64_t>(byte), bytes.data(), bytes.size());
}

Tensor Launcher::get(const char *parameter, Element type, int64_t byte, int64_t count) {
  std::vector<std::byte> bytes(static_cast<size_t>(count) * elementBytes(type));
  device.read(bytes.data(), arguments.data.at(numberOf(parameter)) + static_cast<uint64_t>(byte), bytes.size());
  return Tensor::from(type, bytes);
}

std::vector<std::byte> Launcher::workspace(uint64_t byte, uint64_t count) {
  std::vector<std::byte> bytes(count);
  device.read(bytes.data(), arguments.workspace + byte, count);
  return bytes;
}

void Launcher::takeAsSpans(const char *parameter, int64_t rows) {
  size_t number = numberOf(parameter);
  arguments.passed.at(number) = makeSpanList(device, arguments.data.at(number), rows);
}

void Launcher::setScalar(const char *parameter, int64_t value) { arguments.scalars.at(numberOf(parameter)) = value; }

uint64_t Launcher::workspaceBytes() const {
  uint64_t bytes = 0;
  for (const cases::Launch &launch : instance.launches)
    if (launch.workspace)
      bytes = std::max(bytes, static_cast<uint64_t>(launch.workspace->evaluate(arguments.scalars)));
  return bytes;
}

const Call &Launcher::call(size_t launch) {
  if (calls.empty()) {
    if (uint64_t bytes = workspaceBytes())
      arguments.workspace = device.reserve(bytes, "workspace", true);
    calls = makeCalls(device, instance, arguments);
    if (calls.size() != instance.launches.size())
      throw Error("a launch has no CTAs");
  }
  return calls.at(launch);
}

void Launcher::run(const Call &one, const std::string &ptx) {
  device.setModule(ptxemu::Module::parse(ptx));
  std::string report = device.run(std::span(&one, 1));
  if (!report.empty())
    throw Error(report);
}

void Launcher::run(size_t launch, int64_t block, int64_t grid) {
  Call one = call(launch);
  one.grid = {one.cluster, 1, 1};
  static const std::regex registers(R"(%(n?)ctaid\.([xyz]))");
  std::string text;
  auto at = std::sregex_iterator(instance.ptx.begin(), instance.ptx.end(), registers);
  size_t from = 0;
  for (; at != std::sregex_iterator(); ++at) {
    bool size = at->length(1) != 0, along = at->str(2) == "x";
    text.append(instance.ptx, from, static_cast<size_t>(at->position()) - from);
    text += std::to_string(along ? size ? grid : block : size ? 1 : 0);
    from = static_cast<size_t>(at->position() + at->length());
  }
  run(one, text.append(instance.ptx, from));
}

void Launcher::runAll(size_t launch) { run(call(launch), instance.ptx); }

void expectEqual(const Tensor &got, const std::vector<double> &want, const std::vector<double> &slack, const std::string &what) {
  Verdict verdict = compare(got, want, slack);
  if (!verdict.ok)
    throw Error(what + ": " + verdict.text);
}

void expectUntouched(const Tensor &got, const std::string &what) {
  expectEqual(got, std::vector<double>(got.values.size(), 0.0), std::vector<double>(got.values.size(), 0.0), what);
}

} // namespace far
