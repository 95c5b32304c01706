// SPDX-License-Identifier: Apache-2.0
//
// An instance of a GPU template as `gpu-instances` describes it: PTX, launches, parameters. Nothing here needs LLVM or a GPU.

#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace cases {

/// A description or a request that makes no sense.
class Error : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/// multiplier * ceil(factor * product of scalars / divisor); see docs/design/0002-gpu-variant.md.
struct Term {
  int64_t factor = 1, divisor = 1, multiplier = 1;
  std::vector<uint32_t> scalars;

  int64_t evaluate(std::span<const int64_t> values) const;
};

/// A tiled tensor map over a buffer, innermost dim first.
struct TensorMap {
  uint32_t buffer = 0;
  std::string type; ///< f32, f16, bf16 or u8
  std::vector<Term> dims, strides;
  std::vector<uint32_t> box;
  uint32_t swizzle = 0;
};

struct Launch {
  std::string symbol;
  std::array<Term, 3> grid;
  uint32_t persistent = 0, block = 32, cluster = 1, dynamicShared = 0;
  std::optional<Term> workspace, workspaceZeroed;
  std::vector<TensorMap> tensorMaps;
};

struct Instance {
  std::string name, family; ///< family: the template
  int sm = 90;
  nlohmann::json parameters;
  std::vector<Launch> launches;
  std::string ptx;
};

/// Reads what `gpu-instances --launch` prints. Throws Error.
Instance readInstance(const nlohmann::json &description, std::string ptx);

/// Reads a folder of instances, NAME.json and NAME.ptx each, in the order of their names. Throws Error.
std::vector<Instance> readInstances(const std::string &folder);

} // namespace cases
