// SPDX-License-Identifier: Apache-2.0
//
// msa.json: what an artifact says about its model besides code and weights. models/README.md describes the keys.

#ifndef MSA_RUNTIME_GENERATION_MODEL_CONFIG_H
#define MSA_RUNTIME_GENERATION_MODEL_CONFIG_H

#include "runtime/status.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace msa::gen {

using rt::failure;
using rt::Status;

struct ModelConfig {
  enum class Kind { kDecoder, kRetriever };

  struct Routing {
    int64_t topK = 0;
    std::string headReduce, queryReduce, chunkReduce;
    bool normalize = false;
    double scale = 1;
  };
  struct Template {
    std::string prefix, document, queryBefore, queryAfter, tail;
    std::vector<int64_t> tailDoc;
  };
  struct Interleave {
    std::string delimiter, end, questionMark, document, append;
  };
  struct Window {
    int64_t contentTokens = 0;
    std::string before, after;
  };

  /// Reads the |size| bytes at |json|. Keys that are missing, unknown or of another type are errors that name them.
  static Status read(std::string_view json, ModelConfig &out);

  Kind kind = Kind::kDecoder;
  int64_t layers = 0, heads = 0, kvHeads = 0, headDim = 0, hidden = 0, vocabSize = 0, chunkLength = 0, firstPosition = 0;
  std::vector<int64_t> routerLayers;
  bool separateRouter = false;
  Routing routing;
  Template prompt;                      // decoder
  std::vector<int64_t> stopTokens;      // decoder
  std::optional<Interleave> interleave; // decoder
  Window window;                        // retriever
};

} // namespace msa::gen

#endif // MSA_RUNTIME_GENERATION_MODEL_CONFIG_H
