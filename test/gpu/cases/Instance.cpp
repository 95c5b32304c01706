// SPDX-License-Identifier: Apache-2.0

#include "Instance.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace cases {

using Json = nlohmann::json;

int64_t Term::evaluate(std::span<const int64_t> values) const {
  __int128 product = factor;
  for (uint32_t index : scalars) {
    if (index >= values.size())
      throw Error("a term names scalar " + std::to_string(index) + " of " + std::to_string(values.size()));
    product *= values[index];
  }
  return static_cast<int64_t>(multiplier * ((product + divisor - 1) / divisor));
}

static Term readTerm(const Json &json) {
  Term term;
  if (json.is_number_integer()) {
    term.factor = json.get<int64_t>();
    return term;
  }
  term.factor = json.value("factor", int64_t(1));
  term.divisor = json.value("divisor", int64_t(1));
  term.multiplier = json.value("multiplier", int64_t(1));
  term.scalars = json.value("scalars", std::vector<uint32_t>());
  return term;
}

static std::vector<Term> readTerms(const Json &json) {
  std::vector<Term> terms;
  std::transform(json.begin(), json.end(), std::back_inserter(terms), readTerm);
  return terms;
}

static Launch readLaunch(const Json &json) {
  Launch launch;
  launch.symbol = json.at("symbol").get<std::string>();
  std::vector<Term> grid = readTerms(json.at("grid"));
  if (grid.size() != 3)
    throw Error("expected a grid of 3 terms, found " + std::to_string(grid.size()));
  std::copy(grid.begin(), grid.end(), launch.grid.begin());
  launch.persistent = json.value("persistent", 0u);
  launch.block = json.at("block").get<uint32_t>();
  launch.cluster = json.value("cluster", 1u);
  launch.dynamicShared = json.value("dynamic_shared", 0u);
  if (json.contains("workspace"))
    launch.workspace = readTerm(json["workspace"]);
  if (json.contains("workspace_zeroed"))
    launch.workspaceZeroed = readTerm(json["workspace_zeroed"]);
  for (const Json &map : json.value("tensor_maps", Json::array())) {
    TensorMap read;
    read.buffer = map.at("buffer").get<uint32_t>();
    read.type = map.at("type").get<std::string>();
    read.dims = readTerms(map.at("dims"));
    read.strides = readTerms(map.value("strides", Json::array()));
    read.box = map.at("box").get<std::vector<uint32_t>>();
    read.swizzle = map.value("swizzle", 0u);
    launch.tensorMaps.push_back(std::move(read));
  }
  return launch;
}

Instance readInstance(const Json &description, std::string ptx) {
  Instance instance;
  try {
    instance.name = description.at("name").get<std::string>();
    instance.family = description.at("template").get<std::string>();
    instance.sm = description.at("sm").get<int>();
    instance.parameters = description.at("parameters");
    for (const Json &launch : description.at("launches"))
      instance.launches.push_back(readLaunch(launch));
  } catch (const Json::exception &error) {
    throw Error("instance '" + instance.name + "': " + error.what());
  }
  instance.ptx = std::move(ptx);
  return instance;
}

static std::string readFile(const std::filesystem::path &path) {
  std::ifstream in(path, std::ios::binary);
  if (!in)
    throw Error("cannot read '" + path.string() + "'");
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<Instance> readInstances(const std::string &folder) {
  std::vector<std::filesystem::path> paths;
  std::error_code problem;
  for (const auto &entry : std::filesystem::directory_iterator(folder, problem))
    if (entry.path().extension() == ".json")
      paths.push_back(entry.path());
  if (problem || paths.empty())
    throw Error("expected instances (NAME.json, NAME.ptx) in '" + folder + "', found none");
  std::sort(paths.begin(), paths.end());
  std::vector<Instance> instances;
  for (std::filesystem::path path : paths) {
    std::string text = readFile(path);
    Json description = Json::parse(text, nullptr, false);
    if (description.is_discarded())
      throw Error("'" + path.string() + "' is no JSON");
    instances.push_back(readInstance(description, readFile(path.replace_extension(".ptx"))));
  }
  return instances;
}

} // namespace cases
