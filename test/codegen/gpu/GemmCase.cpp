// SPDX-License-Identifier: Apache-2.0

#include "GemmCase.h"
#include <cmath>
#include <random>
#include <stdexcept>

using namespace msa::gpu;

namespace gemm {

static unsigned bytesOf(const std::string &type) { return type == "f32" ? 4 : type == "f8E4M3FN" ? 1 : 2; }

static void put(std::vector<std::byte> &bytes, const std::string &type, size_t index, float value) {
  auto store = [&](auto bits) { std::memcpy(bytes.data() + index * sizeof(bits), &bits, sizeof(bits)); };
  if (type == "f32")
    store(value);
  else if (type == "bf16")
    store(ptxemu::toBfloat16(value));
  else if (type == "f16")
    store(ptxemu::toFloat16(value));
  else
    store(ptxemu::toE4m3(value));
}

static double get(const std::vector<std::byte> &bytes, const std::string &type, size_t index) {
  auto load = [&]<typename T>(T bits) {
    std::memcpy(&bits, bytes.data() + index * sizeof(bits), sizeof(bits));
    return bits;
  };
  if (type == "f32")
    return load(float());
  if (type == "bf16")
    return ptxemu::fromBfloat16(load(uint16_t()));
  if (type == "f16")
    return ptxemu::fromFloat16(load(uint16_t()));
  return ptxemu::fromE4m3(load(uint8_t()));
}

Program compile(mlir::MLIRContext &context, const Instance &instance) {
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  llvm::Expected<std::vector<Launch>> launches = instance.emit(*module, "gemm");
  if (!launches)
    throw std::runtime_error(llvm::toString(launches.takeError()));
  llvm::Expected<std::string> ptx = emitPTX(*module, instance.target);
  if (!ptx)
    throw std::runtime_error(llvm::toString(ptx.takeError()));
  return {std::move(*ptx), std::move(*launches)};
}

Case::Tensor Case::random(const std::string &type, size_t count, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::normal_distribution<float> normal;
  Tensor tensor{type, std::vector<double>(count), std::vector<std::byte>(count * bytesOf(type))};
  for (size_t i = 0; i < count; ++i) {
    put(tensor.bytes, type, i, normal(engine));
    tensor.values[i] = get(tensor.bytes, type, i);
  }
  return tensor;
}

Case::Case(const Instance &instance, int64_t rows, uint64_t seed) : m(rows) {
  const llvm::json::Object &p = instance.parameters;
  auto text = [&](llvm::StringRef key) { return p.getString(key)->str(); };
  auto number = [&](llvm::StringRef key) { return *p.getInteger(key); };
  element = text("element"), resultType = text("result"), epilogue = text("epilogue");
  n = number("n"), k = number("k"), output = number("output");
  lhs = random(element, m * k, seed);
  rhs = random(element, k * n, seed + 1);
  buffers.resize(number("buffers"));
  buffers[number("lhs")] = lhs.bytes;
  bool panels = bytesOf(element) == 2;
  std::vector<std::byte> &packed = buffers[number("rhs")];
  packed.resize((n + 15) / 16 * 16 * k * bytesOf(element));
  for (int64_t row = 0; row < k; ++row)
    for (int64_t column = 0; column < n; ++column)
      put(packed, element, panels ? (column / 16 * k + row) * 16 + column % 16 : column * k + row, static_cast<float>(rhs.values[row * n + column]));
  buffers[output].assign(m * n * bytesOf(resultType), std::byte(0xFF));
  for (const llvm::json::Value &extra : *p.getArray("extras")) {
    const llvm::json::Object &object = *extra.getAsObject();
    perColumn.push_back(*object.getBoolean("per_column"));
    extras.push_back(random(object.getString("element")->str(), perColumn.back() ? n : m * n, seed + 2 + extras.size()));
    buffers[*object.getInteger("buffer")] = extras.back().bytes;
  }
}

static int64_t evaluate(const Term &term, int64_t rows) {
  int64_t product = term.factor;
  for (uint32_t scalar : term.scalars) {
    if (scalar != 0)
      throw std::runtime_error("a term names scalar " + std::to_string(scalar));
    product *= rows;
  }
  return term.multiplier * ((product + term.divisor - 1) / term.divisor);
}

std::vector<std::byte> Case::run(const Program &program, const ptxemu::Options &options, unsigned processors) const {
  auto module = ptxemu::Module::parse(program.ptx);
  ptxemu::Memory memory;
  std::vector<uint64_t> addresses;
  for (size_t i = 0; i < buffers.size(); ++i) {
    addresses.push_back(memory.allocate(buffers[i].size(), "buffer " + std::to_string(i), i == output ? ptxemu::Access::ReadWrite : ptxemu::Access::Read));
    memory.write(addresses.back(), buffers[i].data(), buffers[i].size());
  }
  for (const Launch &launch : program.launches) {
    int64_t scalars[] = {m}, tiles = 1;
    uint64_t workspace = 0;
    std::vector<ptxemu::TensorMap> maps(launch.tensorMaps.size());
    std::vector<const void *> arguments;
    for (const uint64_t &address : addresses)
      arguments.push_back(&address);
    arguments.insert(arguments.end(), {&scalars[0], &tiles, &workspace});
    for (size_t i = 0; i < maps.size(); ++i) {
      const TensorMap &map = launch.tensorMaps[i];
      std::vector<uint64_t> sizes, strides;
      for (const Term &term : map.dims)
        sizes.push_back(evaluate(term, m));
      for (const Term &term : map.strides)
        strides.push_back(evaluate(term, m));
      static constexpr ptxemu::TensorMapType types[] = {ptxemu::TensorMapType::Float32, ptxemu::TensorMapType::Float16, ptxemu::TensorMapType::Bfloat16,
                                                        ptxemu::TensorMapType::Uint8};
      auto swizzle = static_cast<ptxemu::TensorMapSwizzle>(map.swizzle == 128 ? 3 : map.swizzle / 32);
      std::vector<uint32_t> ones(sizes.size(), 1);
      std::string refused = ptxemu::encodeTensorMap(maps[i], types[static_cast<int>(map.type)], sizes.size(), addresses[map.buffer], sizes.data(),
                                                    strides.data(), map.box.data(), ones.data(), 0, swizzle, 0, 0);
      if (!refused.empty())
        throw std::runtime_error(refused);
      arguments.push_back(&maps[i]);
    }
    const ptxemu::Kernel *kernel = module->find(launch.symbol);
    if (!kernel)
      throw std::runtime_error("no kernel '" + launch.symbol + "'");
    auto extent = [&](int axis) { return static_cast<uint32_t>(evaluate(launch.grid[axis], m)); };
    ptxemu::Launch call;
    call.kernel = launch.symbol;
    call.grid = {launch.persistent ? std::min(extent(0), launch.persistent * processors) : extent(0), extent(1), extent(2)};
    call.block = {launch.block};
    if (launch.cluster > 1)
      call.cluster = {launch.cluster};
    call.dynamicSharedBytes = launch.dynamicShared;
    call.parameters = kernel->packPointers(arguments);
    ptxemu::Result result = ptxemu::launch(*module, memory, call, options);
    if (!result.ok() || !result.warnings.empty())
      throw std::runtime_error(result.text());
  }
  std::vector<std::byte> bytes(buffers[output].size());
  memory.read(bytes.data(), addresses[output], bytes.size());
  return bytes;
}

static double apply(const std::string &epilogue, double sum, const std::vector<double> &extras) {
  double silu = sum / (1 + std::exp(-sum));
  if (epilogue == "none")
    return sum;
  if (epilogue == "bias" || epilogue == "residual")
    return sum + extras.at(0);
  if (epilogue == "bias_residual")
    return sum + extras.at(0) + extras.at(1);
  if (epilogue == "silu")
    return silu;
  if (epilogue == "swiglu")
    return silu * extras.at(0);
  throw std::runtime_error("no epilogue '" + epilogue + "'");
}

Case::Verdict Case::judge(const std::vector<std::byte> &result) const {
  double rounding = resultType == "bf16" ? 0x1p-7 : resultType == "f16" ? 0x1p-10 : 0; // from 1 to the next number
  double accumulation = 4 * std::sqrt(static_cast<double>(k)) * 0x1p-24;
  double difference = 0, length = 0;
  Verdict verdict;
  std::vector<double> sums(n), sizes(n);
  for (int64_t i = 0; i < m; ++i) {
    std::fill(sums.begin(), sums.end(), 0);
    std::fill(sizes.begin(), sizes.end(), 0);
    for (int64_t d = 0; d < k; ++d)
      for (int64_t j = 0; j < n; ++j) {
        double product = lhs.values[i * k + d] * rhs.values[d * n + j];
        sums[j] += product;
        sizes[j] += std::abs(product);
      }
    for (int64_t j = 0; j < n; ++j) {
      std::vector<double> values;
      double size = sizes[j];
      for (size_t e = 0; e < extras.size(); ++e) {
        values.push_back(extras[e].values[perColumn[e] ? j : i * n + j]);
        size += std::abs(values.back());
        if (epilogue == "swiglu")
          size *= std::abs(values.back());
      }
      double want = apply(epilogue, sums[j], values), got = get(result, resultType, i * n + j);
      double slack = rounding / 2 * std::abs(want) * 1.001 + accumulation * size + 1e-6 * std::abs(want);
      if (!(std::abs(got - want) <= slack) && verdict.wrong.empty())
        verdict.wrong = "[" + std::to_string(i) + ", " + std::to_string(j) + "] is " + std::to_string(got) + ", expected " + std::to_string(want);
      double beyond = std::max(0.0, std::abs(got - want) - rounding / 2 * std::abs(want));
      difference += beyond * beyond;
      length += want * want;
    }
  }
  verdict.error = std::sqrt(difference / length);
  return verdict;
}

} // namespace gemm
