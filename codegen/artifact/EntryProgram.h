// SPDX-License-Identifier: Apache-2.0
//
// The `exec` ops of a module as tables of the artifact: kernels, constants, entries with their commands.

#ifndef MSA_CODEGEN_ARTIFACT_ENTRYPROGRAM_H
#define MSA_CODEGEN_ARTIFACT_ENTRYPROGRAM_H

#include "dialect/exec/ExecDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "runtime/schema/msa_artifact_generated.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/Error.h"

namespace msa {

/// Where constants lie, before their tables are built.
struct ProgramTables {
  struct Constant {
    uint64_t offset;
    uint64_t size;
    std::string name;
    uint32_t segment = 0;
  };
  std::vector<Constant> constants;
  llvm::StringMap<uint32_t> constantIndex;
};

struct ProgramOffsets {
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<schema::Kernel>>> kernels;
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<schema::Constant>>> constants;
  flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<schema::Entry>>> entries;
};

/// Errors name the op that has no command.
llvm::Expected<ProgramOffsets> buildProgram(flatbuffers::FlatBufferBuilder &builder, mlir::ModuleOp module, const ProgramTables &tables);

} // namespace msa

#endif // MSA_CODEGEN_ARTIFACT_ENTRYPROGRAM_H
