// SPDX-License-Identifier: Apache-2.0
//
// msa-run bench: how long an entry takes at given dims.

#include "tools/run/command.h"
#include "tools/run/npy.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>

namespace msa::tool {

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  LoadOptions load;
  std::string entry;
  std::vector<std::string> dims, fills, inputs;
  uint32_t warmup = 3, minRuns = 7;
  double seconds = 1;
  bool json = false;
  std::string profile;
};

int64_t parseInteger(const std::string &option, const std::string &text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    throw CLI::ValidationError(option, "expected a whole number, found '" + text + "'");
  return value;
}

/// Synthetic contents of an input. Integers are indices more often than not, and 1 is a valid one nearly everywhere.
struct Fill {
  enum class Kind { kValue, kIota, kRandom } kind = Kind::kRandom;
  int64_t value = 1, divisor = 1;

  static Fill parse(const std::string &text) {
    Fill fill;
    if (text == "random")
      return fill;
    if (text.rfind("iota", 0) == 0) {
      fill.kind = Kind::kIota;
      fill.value = 0;
      size_t first = text.find(':'), second = first == std::string::npos ? first : text.find(':', first + 1);
      if (first != std::string::npos)
        fill.value = parseInteger("--fill", text.substr(first + 1, second == std::string::npos ? second : second - first - 1));
      if (second != std::string::npos)
        fill.divisor = parseInteger("--fill", text.substr(second + 1));
      if (fill.divisor < 1)
        throw CLI::ValidationError("--fill", "the divisor of '" + text + "' is less than 1");
      return fill;
    }
    fill.kind = Kind::kValue;
    fill.value = parseInteger("--fill", text);
    return fill;
  }
};

template <typename T> void fillAs(Bytes &bytes, const Fill &fill, bool isFloat) {
  uint64_t state = 0x9e3779b97f4a7c15u;
  for (size_t i = 0; i < bytes.size() / sizeof(T); ++i) {
    T value = T(fill.value);
    if (fill.kind == Fill::Kind::kIota) {
      value = T(fill.value + int64_t(i) / fill.divisor);
    } else if (fill.kind == Fill::Kind::kRandom) {
      state ^= state << 13, state ^= state >> 7, state ^= state << 17;
      double unit = double(state >> 11) / double(uint64_t(1) << 53);
      value = isFloat ? T(2 * unit - 1) : T(unit * 2); // integers: 0 or 1
    }
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
}

/// Towards zero, tiny values to 0: good enough for made-up numbers up to 65504.
uint16_t halfBits(float value, bool brain) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  if (brain)
    return uint16_t(bits >> 16);
  uint16_t sign = uint16_t(bits >> 16 & 0x8000);
  int32_t exponent = int32_t(bits >> 23 & 0xff) - 127 + 15;
  if (exponent <= 0)
    return sign;
  return uint16_t(sign | exponent << 10 | (bits >> 13 & 0x3ff));
}

/// Rounded towards zero; at most the largest number.
uint8_t e4m3Bits(float value) {
  uint16_t half = halfBits(value * 0x1p-8f, false); // with as many bits of exponent, which then stand in the same place
  uint8_t magnitude = uint8_t(std::min<unsigned>(half >> 7 & 0xff, 0x7e));
  return uint8_t((half >> 8 & 0x80) | magnitude);
}

void fillArray(Array &array, const Fill &fill) {
  switch (array.type) {
  case MSA_F32:
    return fillAs<float>(array.bytes, fill, true);
  case MSA_F64:
    return fillAs<double>(array.bytes, fill, true);
  case MSA_F16:
  case MSA_BF16: {
    Bytes floats(array.bytes.size() * 2);
    fillAs<float>(floats, fill, true);
    for (size_t i = 0; i < floats.size() / 4; ++i) {
      float value;
      std::memcpy(&value, floats.data() + 4 * i, 4);
      uint16_t bits = halfBits(value, array.type == MSA_BF16);
      std::memcpy(array.bytes.data() + 2 * i, &bits, 2);
    }
    return;
  }
  case MSA_F8E4M3FN: {
    Bytes floats(array.bytes.size() * 4);
    fillAs<float>(floats, fill, true);
    for (size_t i = 0; i < array.bytes.size(); ++i) {
      float value;
      std::memcpy(&value, floats.data() + 4 * i, 4);
      array.bytes[i] = e4m3Bits(value);
    }
    return;
  }
  case MSA_I8:
  case MSA_U8:
    return fillAs<uint8_t>(array.bytes, fill, false);
  case MSA_BOOL:
    fillAs<uint8_t>(array.bytes, fill, false);
    for (uint8_t &byte : array.bytes)
      byte = byte != 0;
    return;
  case MSA_I16:
  case MSA_U16:
    return fillAs<uint16_t>(array.bytes, fill, false);
  case MSA_I32:
  case MSA_U32:
    return fillAs<uint32_t>(array.bytes, fill, false);
  case MSA_I64:
  case MSA_U64:
    return fillAs<uint64_t>(array.bytes, fill, false);
  }
}

/// The inputs of the entry, and the caches among them, which are run in place as a conversation does.
struct Bench {
  std::vector<Array> arrays;
  struct Cache {
    Buffer buffer;
    int64_t rows;
  };
  std::vector<Cache> caches;
};

Status bindInputs(const Options &options, const Runtime &runtime, const Program &program, uint32_t entry, Invocation &invocation,
                  Bench &bench) {
  std::map<std::string, int64_t> dims;
  std::map<std::string, bool> dimUsed;
  std::map<std::string, Fill> fills;
  std::map<std::string, std::string> files;
  for (const std::string &dim : options.dims) {
    auto [name, value] = splitPair("--dim", dim);
    dims[name] = parseInteger("--dim", value);
    if (dims[name] < 0)
      throw CLI::ValidationError("--dim", "'" + dim + "' is negative");
    dimUsed[name] = false;
  }
  for (const std::string &fill : options.fills) {
    auto [name, text] = splitPair("--fill", fill);
    fills[name] = Fill::parse(text);
  }
  for (const std::string &input : options.inputs) {
    auto [name, path] = splitPair("--input", input);
    files[name] = path;
  }
  uint32_t index = 0;
  for (const auto &[name, fill] : fills)
    if (Status status = invocation.findInput(name, index); !status.ok())
      return status;
  for (const auto &[name, path] : files)
    if (Status status = invocation.findInput(name, index); !status.ok())
      return status;

  uint32_t count = program.inputCount(entry);
  bench.arrays.resize(count);
  // Files first: they settle dims that other inputs share.
  std::map<uint32_t, int64_t> symbols;
  for (uint32_t i = 0; i < count; ++i) {
    msa_port port;
    program.input(entry, i, port);
    auto file = files.find(port.name);
    if (file == files.end())
      continue;
    if (Status status = readNpy(file->second, bench.arrays[i]); !status.ok())
      return status;
    if ((port.type == MSA_BF16 && bench.arrays[i].type == MSA_U16) || (port.type == MSA_F8E4M3FN && bench.arrays[i].type == MSA_U8))
      bench.arrays[i].type = port.type;
    for (uint32_t axis = 0; axis < port.rank && axis < bench.arrays[i].shape.size(); ++axis)
      if (port.dims[axis].size < 0)
        symbols.emplace(port.dims[axis].symbol, bench.arrays[i].shape[axis]);
  }
  for (uint32_t i = 0; i < count; ++i) {
    msa_port port;
    program.input(entry, i, port);
    Array &array = bench.arrays[i];
    if (!files.count(port.name)) {
      array.type = port.type;
      size_t bytes = msa_element_size(port.type);
      for (uint32_t axis = 0; axis < port.rank; ++axis) {
        int64_t size = port.dims[axis].size;
        if (size < 0) {
          auto named = dims.find(port.dims[axis].name);
          auto known = symbols.find(port.dims[axis].symbol);
          if (named != dims.end()) {
            size = named->second;
            dimUsed[named->first] = true;
          } else if (known != symbols.end()) {
            size = known->second;
          } else {
            return Status(MSA_INVALID_ARGUMENT, "input '" + std::string(port.name) + "' has a dynamic dim '" + port.dims[axis].name +
                                                    "'; give it a size with --dim " + port.dims[axis].name + "=N");
          }
          symbols.emplace(port.dims[axis].symbol, size);
        }
        array.shape.push_back(size);
        if (__builtin_mul_overflow(bytes, size_t(size), &bytes) || bytes > size_t(1) << 40)
          return Status(MSA_INVALID_ARGUMENT, "input '" + std::string(port.name) + "' would have more than 2^40 bytes");
      }
      array.bytes.resize(bytes);
      bool isFloat = port.type == MSA_F32 || port.type == MSA_F64 || port.type == MSA_F16 || port.type == MSA_BF16 ||
                     port.type == MSA_F8E4M3FN;
      auto fill = fills.find(port.name);
      Fill ones;
      ones.kind = Fill::Kind::kValue;
      fillArray(array, fill != fills.end() ? fill->second : isFloat ? Fill() : ones);
    }
    if (Status status = invocation.bindInput(i, array.tensor()); !status.ok())
      return status;
  }
  for (const auto &[name, used] : dimUsed)
    if (!used)
      return Status(MSA_NOT_FOUND, "entry '" + options.entry + "' has no dynamic dim '" + name + "' in an input that --dim can set");

  for (uint32_t i = 0; i < program.outputCount(entry); ++i) {
    msa_port port;
    program.output(entry, i, port);
    if (port.alias_input == UINT32_MAX)
      continue;
    Array &array = bench.arrays[port.alias_input];
    Buffer buffer;
    if (std::find(array.shape.begin() + 1, array.shape.end(), 0) != array.shape.end())
      continue; // rows without elements: nothing to keep
    msa_buffer *made = nullptr;
    if (Status status(msa_buffer_create(runtime.get(), array.type, uint32_t(array.shape.size() - 1), array.shape.data() + 1, &made));
        !status.ok())
      return status;
    buffer = Buffer(made);
    if (Status status = buffer.append(array.bytes.data(), array.shape[0]); !status.ok())
      return status;
    if (Status status = invocation.bindInput(port.alias_input, buffer); !status.ok())
      return status;
    if (Status status = invocation.bindOutput(i, buffer); !status.ok())
      return status;
    bench.caches.push_back({buffer, array.shape[0]});
  }
  return Status();
}

Status bench(const Options &options) {
  Runtime runtime;
  Program program;
  Context context;
  Invocation invocation;
  if (Status status = options.load.load(runtime, program); !status.ok())
    return status;
  uint32_t entry = 0;
  if (Status status = program.findEntry(options.entry, entry); !status.ok())
    return status;
  if (Status status = Context::create(program, context); !status.ok())
    return status;
  if (Status status = Invocation::create(context, entry, invocation); !status.ok())
    return status;
  Bench inputs;
  if (Status status = bindInputs(options, runtime, program, entry, invocation, inputs); !status.ok())
    return status;
  Profile profile;
  if (!options.profile.empty())
    if (Status status = Profile::create(runtime, profile); !status.ok())
      return status;

  Invocation::Options run;
  std::vector<double> milliseconds;
  auto once = [&](bool counted) {
    Clock::time_point start = Clock::now();
    Status status = invocation.run(run);
    Clock::time_point end = Clock::now();
    if (counted)
      milliseconds.push_back(std::chrono::duration<double, std::milli>(end - start).count());
    for (Bench::Cache &cache : inputs.caches)
      if (status.ok())
        status = cache.buffer.truncate(cache.rows);
    return status;
  };
  for (uint32_t i = 0; i < options.warmup; ++i)
    if (Status status = once(false); !status.ok())
      return status;
  Clock::time_point start = Clock::now();
  while (milliseconds.size() < options.minRuns ||
         (std::chrono::duration<double>(Clock::now() - start).count() < options.seconds && milliseconds.size() < 100000))
    if (Status status = once(true); !status.ok())
      return status;
  // The profile is of a run of its own: taking it costs time.
  if (profile) {
    run.profile = profile.get();
    if (Status status = once(false); !status.ok())
      return status;
    if (Status status = profile.write(options.profile); !status.ok())
      return status;
  }

  std::sort(milliseconds.begin(), milliseconds.end());
  size_t runs = milliseconds.size();
  double median = runs % 2 ? milliseconds[runs / 2] : (milliseconds[runs / 2 - 1] + milliseconds[runs / 2]) / 2;
  if (options.json)
    std::printf("{\"median_ms\": %.6f, \"min_ms\": %.6f, \"runs\": %zu, \"threads\": %u}\n", median, milliseconds[0], runs,
                runtime.threadCount());
  else
    std::printf("median %.4f ms, min %.4f ms, %zu runs, %u threads, variant '%s' on %s\n", median, milliseconds[0], runs,
                runtime.threadCount(), program.variant(), program.deviceName());
  return Status();
}

} // namespace

void declareBench(CLI::App &app, Run &run) {
  auto options = std::make_shared<Options>();
  CLI::App *command = app.add_subcommand("bench", "time one entry at given dims, on synthetic inputs");
  options->load.declare(*command);
  command->add_option("--entry", options->entry, "entry to run")->required()->type_name("E");
  command->add_option("--dim", options->dims, "size of a dynamic dim; once for every one of them")->type_name("NAME=N")->allow_extra_args(false);
  command
      ->add_option("--fill", options->fills,
                   "contents of an input: a whole number, 'random', or 'iota:FIRST:DIVISOR', element i being FIRST + i / DIVISOR. "
                   "Default: random in [-1, 1] for floats, 1 for integers and booleans")
      ->type_name("NAME=WHAT")->allow_extra_args(false);
  command->add_option("--input", options->inputs, "contents and shape of an input from a file")->type_name("NAME=FILE.npy")->allow_extra_args(false);
  command->add_option("--warmup", options->warmup, "runs before the timed ones")->type_name("N")->capture_default_str();
  command->add_option("--min-runs", options->minRuns, "timed runs at least")
      ->type_name("N")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command->add_option("--seconds", options->seconds, "time runs for this long at least")
      ->type_name("S")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  command->add_flag("--json", options->json, "print {\"median_ms\", \"min_ms\", \"runs\", \"threads\"}");
  command->add_option("--profile", options->profile, "writes what every command of one more run cost, as a trace for Perfetto")
      ->type_name("FILE");
  command->footer("Outputs that may share the memory of an input (caches) are run in place, as a conversation does.");
  command->callback([options, &run] { run = [options] { return bench(*options); }; });
}

} // namespace msa::tool
