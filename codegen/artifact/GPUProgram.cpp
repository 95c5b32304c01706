// SPDX-License-Identifier: Apache-2.0

#include "codegen/artifact/GPUProgram.h"
#include "dialect/exec/ExecDialect.h"

using namespace mlir;
using namespace msa;
using flatbuffers::Offset;

namespace {

class Tables {
public:
  explicit Tables(flatbuffers::FlatBufferBuilder &builder) : builder(builder) {}

  Offset<schema::Term> build(const gpu::Term &term) {
    auto scalars = builder.CreateVector(term.scalars);
    return schema::CreateTerm(builder, term.factor, scalars, term.divisor, term.multiplier);
  }

  Offset<schema::TensorMap> build(const gpu::TensorMap &map) {
    auto dims = all<schema::Term>(map.dims), strides = all<schema::Term>(map.strides);
    auto box = builder.CreateVector(map.box);
    return schema::CreateTensorMap(builder, map.buffer, typeOf(map.type), dims, strides, box, map.swizzle);
  }

  Offset<schema::Launch> build(const gpu::Launch &launch) {
    auto symbol = builder.CreateString(launch.symbol);
    auto grid = all<schema::Term>(launch.grid);
    Offset<schema::Term> workspace, zeroed;
    if (launch.workspace)
      workspace = build(*launch.workspace);
    if (launch.workspaceZeroed)
      zeroed = build(*launch.workspaceZeroed);
    auto maps = all<schema::TensorMap>(launch.tensorMaps);
    return schema::CreateLaunch(builder, symbol, grid, launch.persistent, launch.block, launch.cluster, launch.dynamicShared, workspace, zeroed, maps);
  }

  Offset<schema::LaunchCase> build(const gpu::LaunchCase &launchCase) {
    auto launches = all<schema::Launch>(launchCase.launches);
    flatbuffers::Optional<uint32_t> scalar = flatbuffers::nullopt;
    if (launchCase.scalar)
      scalar = *launchCase.scalar;
    return schema::CreateLaunchCase(builder, scalar, launchCase.below, launches);
  }

  template <typename Table, typename Range> Offset<flatbuffers::Vector<Offset<Table>>> all(const Range &values) {
    std::vector<Offset<Table>> offsets;
    for (const auto &value : values)
      offsets.push_back(build(value));
    return builder.CreateVector(offsets);
  }

private:
  static schema::ElementType typeOf(gpu::TensorElement type) {
    switch (type) {
    case gpu::TensorElement::F32: return schema::ElementType::F32;
    case gpu::TensorElement::F16: return schema::ElementType::F16;
    case gpu::TensorElement::BF16: return schema::ElementType::BF16;
    case gpu::TensorElement::U8: return schema::ElementType::U8;
    }
    llvm_unreachable("unknown element type");
  }

  flatbuffers::FlatBufferBuilder &builder;
};

} // namespace

llvm::Expected<Offset<flatbuffers::Vector<Offset<schema::GPUKernel>>>>
msa::buildGPUKernels(flatbuffers::FlatBufferBuilder &builder, ModuleOp module, ArrayRef<gpu::LaunchTable> tables) {
  llvm::StringMap<const gpu::LaunchTable *> byName;
  for (const gpu::LaunchTable &table : tables)
    byName[table.kernel] = &table;
  std::vector<Offset<schema::GPUKernel>> kernels;
  for (auto kernel : module.getOps<exec::KernelOp>()) {
    const gpu::LaunchTable *table = byName.lookup(kernel.getSymName());
    if (!table)
      return llvm::createStringError("kernel '" + kernel.getSymName() + "' has no launch table");
    auto cases = Tables(builder).all<schema::LaunchCase>(table->cases);
    kernels.push_back(schema::CreateGPUKernel(builder, cases));
  }
  return builder.CreateVector(kernels);
}
