// SPDX-License-Identifier: Apache-2.0

#ifndef MSA_CODEGEN_ARTIFACT_WRITER_H
#define MSA_CODEGEN_ARTIFACT_WRITER_H

#include "codegen/gpu/Launch.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/Support/Error.h"
#include <optional>
#include <string>
#include <vector>

namespace msa {

/// Code for one GPU.
struct GPUCode {
  struct Cubin {
    uint32_t sm; ///< compute capability times ten
    std::vector<char> bytes;
  };
  std::string ptx;                      ///< without a NUL at its end
  std::vector<gpu::LaunchTable> tables; ///< one for each `exec.kernel`, in any order
  std::vector<Cubin> cubins;
};

/// Code of one variant: a processor's shared object, or a GPU's text.
struct ArtifactVariant {
  std::string name;
  std::vector<char> sharedObject;
  std::optional<GPUCode> gpu;
};

/// What an artifact holds beside the program.
struct ArtifactContents {
  std::vector<ArtifactVariant> variants; ///< best first: the order in which a loader tries them
  std::string tokenizer;                 ///< bytes of a tokenizer.json, or empty
  std::string modelConfig;               ///< bytes of an msa.json, or empty
  std::string testVectors;               ///< what packTestVectors made, or empty
  std::vector<std::pair<std::string, std::string>> provenance;
};

/// Writes the artifact of `module` (level 3: `exec.entry`, `exec.kernel`, `exec.constant`) to `path`, by way of a temporary file
/// beside it that is renamed at the end. Equal modules and contents give equal bytes. Constants with equal bytes are stored once.
llvm::Error writeArtifact(mlir::ModuleOp module, const ArtifactContents &contents, llvm::StringRef path);

} // namespace msa

#endif // MSA_CODEGEN_ARTIFACT_WRITER_H
