// SPDX-License-Identifier: Apache-2.0

#include "Emulated.h"

#include "codegen/gpu/EmitPTX.h"
#include "mlir/IR/BuiltinOps.h"

namespace emulated {

cases::Instance instanceOf(const msa::gpu::Instance &instance, llvm::ArrayRef<msa::gpu::Launch> launches, std::string ptx) {
  std::string description;
  llvm::raw_string_ostream(description) << llvm::json::Value(msa::gpu::describe(instance, launches));
  return cases::readInstance(nlohmann::json::parse(description), std::move(ptx));
}

cases::Instance instanceOf(llvm::ArrayRef<msa::gpu::Launch> launches, std::string ptx, msa::gpu::GPUTarget target) {
  return instanceOf({"kernel", "", target, {}, {}}, launches, std::move(ptx));
}

cases::Instance compile(mlir::MLIRContext &context, const msa::gpu::Instance &instance) {
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
  auto check = [](auto expected) {
    if (!expected)
      throw std::runtime_error(llvm::toString(expected.takeError()));
    return std::move(*expected);
  };
  std::vector<msa::gpu::Launch> launches = check(instance.emit(*module, instance.family));
  return instanceOf(instance, launches, check(msa::gpu::emitPTX(*module, instance.target)));
}

uint64_t input(cases::EmulatorDevice &device, const void *bytes, size_t size, const char *label) {
  uint64_t address = device.allocate(std::max<size_t>(size, 1), label, false);
  device.write(address, bytes, size);
  return address;
}

uint64_t output(cases::EmulatorDevice &device, size_t size, const char *label) { return device.allocate(std::max<size_t>(size, 1), label, true); }

void run(cases::EmulatorDevice &device, const cases::Instance &instance, cases::Arguments arguments) {
  int64_t bytes = 0;
  for (const cases::Launch &launch : instance.launches)
    if (launch.workspace)
      bytes = std::max(bytes, launch.workspace->evaluate(arguments.scalars));
  arguments.workspace = output(device, static_cast<size_t>(bytes), "workspace");
  std::string report = device.run(cases::makeCalls(device, instance, arguments));
  if (!report.empty())
    throw std::runtime_error(report);
  for (const ptxemu::Result &result : device.results())
    if (!result.warnings.empty())
      throw std::runtime_error(result.text());
}

} // namespace emulated
