// SPDX-License-Identifier: Apache-2.0
//
// What gpu-instance-dump does.

#include "Instances.h"

#include "codegen/gpu/EmitPTX.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace msa::gpu;
using Json = nlohmann::json;

static Json describe(const Term &term) {
  if (term.scalars.empty() && term.divisor == 1 && term.multiplier == 1)
    return term.factor;
  return {{"factor", term.factor}, {"scalars", term.scalars}, {"divisor", term.divisor}, {"multiplier", term.multiplier}};
}

template <typename Range> static Json describeAll(const Range &terms) {
  Json all = Json::array();
  for (const Term &term : terms)
    all.push_back(describe(term));
  return all;
}

static Json describe(const Launch &launch) {
  static constexpr const char *types[] = {"f32", "f16", "bf16", "u8"};
  Json json = {{"symbol", launch.symbol},     {"grid", describeAll(launch.grid)}, {"persistent", launch.persistent},
               {"block", launch.block},       {"cluster", launch.cluster},        {"dynamic_shared", launch.dynamicShared},
               {"tensor_maps", Json::array()}};
  if (launch.workspace)
    json["workspace"] = describe(*launch.workspace);
  if (launch.workspaceZeroed)
    json["workspace_zeroed"] = describe(*launch.workspaceZeroed);
  for (const TensorMap &map : launch.tensorMaps)
    json["tensor_maps"].push_back({{"buffer", map.buffer},
                                   {"type", types[static_cast<int>(map.type)]},
                                   {"dims", describeAll(map.dims)},
                                   {"strides", describeAll(map.strides)},
                                   {"box", map.box},
                                   {"swizzle", map.swizzle}});
  return json;
}

static llvm::Error write(const llvm::Twine &path, llvm::StringRef text) {
  std::error_code code;
  llvm::raw_fd_ostream out(path.str(), code);
  if (code)
    return llvm::createStringError(code, "cannot write '" + path + "'");
  out << text;
  return llvm::Error::success();
}

static llvm::Error dump(const instances::Entry &entry, llvm::StringRef folder, MLIRContext &context) {
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  auto launches = entry.emit(*module);
  if (!launches)
    return launches.takeError();
  GPUTarget target{entry.sm};
  auto ptx = emitPTX(*module, target);
  if (!ptx)
    return ptx.takeError();
  Json json = {{"name", entry.name}, {"template", entry.family}, {"sm", entry.sm}, {"parameters", entry.parameters}, {"launches", Json::array()}};
  for (const Launch &launch : *launches)
    json["launches"].push_back(describe(launch));
  if (llvm::Error error = write(folder + "/" + entry.name + ".ptx", *ptx))
    return error;
  return write(folder + "/" + entry.name + ".json", json.dump(1) + "\n");
}

int instances::run(int argc, char **argv) {
  std::vector<instances::Entry> entries;
  bool timed = argc > 1 && llvm::StringRef(argv[1]) == "--timed";
  if (timed) {
    instances::addTimedGemm(entries);
    instances::addTimedAttend(entries);
    --argc, ++argv;
  } else {
    instances::addGemm(entries);
    instances::addRoute(entries);
    instances::addAttend(entries);
    instances::addMoves(entries);
  }
  if (argc < 2) {
    for (const instances::Entry &entry : entries)
      llvm::outs() << entry.name << "\n";
    return 0;
  }
  llvm::ArrayRef<char *> named(argv + 2, argv + argc);
  for (llvm::StringRef name : named)
    if (llvm::none_of(entries, [&](const instances::Entry &entry) { return entry.name == name; })) {
      llvm::errs() << "there is no instance '" << name << "'\n";
      return 1;
    }
  if (std::error_code code = llvm::sys::fs::create_directories(argv[1])) {
    llvm::errs() << "cannot make '" << argv[1] << "': " << code.message() << "\n";
    return 1;
  }
  DialectRegistry registry;
  registerEmission(registry);
  registry.insert<arith::ArithDialect, math::MathDialect, scf::SCFDialect, LLVM::LLVMDialect, NVVM::NVVMDialect>();
  bool failed = false;
  for (const instances::Entry &entry : entries) {
    if (!named.empty() && !llvm::is_contained(named, llvm::StringRef(entry.name)))
      continue;
    MLIRContext context(registry, MLIRContext::Threading::DISABLED);
    context.loadAllAvailableDialects();
    if (llvm::Error error = dump(entry, argv[1], context)) {
      llvm::errs() << entry.name << ": " << llvm::toString(std::move(error)) << "\n";
      failed = true;
    }
  }
  return failed;
}
