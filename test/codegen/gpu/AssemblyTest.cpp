// SPDX-License-Identifier: Apache-2.0
//
// What ptxas makes of every instance of the table: no spills, and none of the messages that say that it gave up what a template asked for.

#include "codegen/gpu/Instances.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <gtest/gtest.h>
#include <regex>
#include <set>

using namespace msa::gpu;

namespace {

mlir::MLIRContext &context() {
  static mlir::MLIRContext *all = [] {
    mlir::DialectRegistry registry;
    registerEmission(registry);
    registry.insert<mlir::arith::ArithDialect, mlir::LLVM::LLVMDialect, mlir::math::MathDialect, mlir::NVVM::NVVMDialect, mlir::scf::SCFDialect,
                    mlir::vector::VectorDialect>();
    auto *made = new mlir::MLIRContext(registry, mlir::MLIRContext::Threading::DISABLED);
    made->loadAllAvailableDialects();
    return made;
  }();
  return *all;
}

const std::vector<Instance> &table() {
  static std::vector<Instance> instances = allInstances(context());
  return instances;
}

/// Messages of ptxas: C7508 setmaxnreg ignored, C7510, C7513 and C7514 wgmma serialised, C7520 a trap between wgmmas.
std::string complaint(const std::string &log) {
  std::smatch found;
  if (std::regex_search(log, found, std::regex("C75(08|10|13|14|20)[^\n]*")))
    return found.str();
  std::regex spills("([0-9]+) bytes spill (stores|loads)");
  for (std::sregex_iterator it(log.begin(), log.end(), spills), end; it != end; ++it)
    if ((*it)[1] != "0")
      return it->str();
  return "";
}

class EveryInstance : public testing::TestWithParam<size_t> {};

TEST_P(EveryInstance, Assembles) {
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas)
    GTEST_SKIP() << "no ptxas: set MSA_PTXAS or CUDA_HOME";
  const Instance &instance = table()[GetParam()];
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context()));
  llvm::Expected<std::vector<Launch>> launches = instance.emit(*module, instance.family);
  ASSERT_TRUE(static_cast<bool>(launches)) << llvm::toString(launches.takeError());
  llvm::Expected<std::string> ptx = emitPTX(*module, instance.target);
  ASSERT_TRUE(static_cast<bool>(ptx)) << llvm::toString(ptx.takeError());
  llvm::Expected<Assembly> assembly = assemble(*ptx, instance.target, *ptxas);
  ASSERT_TRUE(static_cast<bool>(assembly)) << llvm::toString(assembly.takeError());
  EXPECT_FALSE(assembly->cubin.empty());
  EXPECT_EQ(complaint(assembly->log), "");
}

INSTANTIATE_TEST_SUITE_P(Assembly, EveryInstance, testing::Range(size_t(0), table().size()), [](const auto &info) {
  std::string name = table()[info.param].name;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
});

TEST(Assembly, NamesAreUnique) {
  std::set<std::string> names;
  for (const Instance &instance : table())
    EXPECT_TRUE(names.insert(instance.name).second) << instance.name;
}

TEST(Assembly, ComplaintsAreRead) {
  EXPECT_EQ(complaint("ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async instructions are serialized\n").substr(0, 5), "C7510");
  EXPECT_EQ(complaint("    8 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads\n"), "8 bytes spill stores");
  EXPECT_EQ(complaint("    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads\nptxas info    : (C7519) Potential\n"), "");
}

TEST(EmitPTX, RefusesCallsOfFunctionsThatNobodyDefines) {
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(mlir::UnknownLoc::get(&context()));
  mlir::OpBuilder b(module->getBodyRegion());
  auto type = mlir::LLVM::LLVMFunctionType::get(mlir::LLVM::LLVMVoidType::get(&context()), {});
  mlir::LLVM::LLVMFuncOp::create(b, module->getLoc(), "missing", type);
  auto kernel = mlir::LLVM::LLVMFuncOp::create(b, module->getLoc(), "kernel", type);
  kernel->setAttr("nvvm.kernel", b.getUnitAttr());
  b.setInsertionPointToStart(kernel.addEntryBlock(b));
  mlir::LLVM::CallOp::create(b, module->getLoc(), mlir::TypeRange(), "missing", mlir::ValueRange());
  mlir::LLVM::ReturnOp::create(b, module->getLoc(), mlir::ValueRange());
  llvm::Expected<std::string> ptx = emitPTX(*module, GPUTarget{90});
  ASSERT_FALSE(static_cast<bool>(ptx));
  EXPECT_EQ(llvm::toString(ptx.takeError()), "kernels for 'cuda:sm_90' call functions that no kernel may call: 'missing'");
}

} // namespace
