// SPDX-License-Identifier: Apache-2.0
//===- RouteDocuments.h - from chunk scores to each tile's best documents ===//
//
// Scoring warps hand a block of chunk scores after the other to one warp, through two slots of shared memory. That warp looks at 32 chunks at
// once: which are the last of their document, and the document's reduction. A finished document that the list of its tile has no use for
// costs nothing more: the list's last score is the threshold. When the first document of the next tile comes by, the list is written.
//
// A maximum over chunks is a scan over lanes; a mean adds them one after the other, in ascending order.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_GPU_TEMPLATES_ROUTEDOCUMENTS_H
#define MSA_CODEGEN_GPU_TEMPLATES_ROUTEDOCUMENTS_H

#include "codegen/gpu/templates/RouteQuery.h"

namespace msa::gpu {

class RouteDocuments {
public:
  /// Plans shared memory. A block has `blockRows` chunks, a multiple of 32; `scoringThreads` threads score.
  RouteDocuments(KernelBuilder &k, const RouteProblem &problem, unsigned blockRows, unsigned scoringThreads);

  /// All threads: finds the CTA's chunks. A barrier of the CTA comes next, then `loadRange`.
  void findRange();
  void loadRange();

  /// The CTA's chunks are [begin, end), and the blocks they make.
  Expr begin, end, blocks;
  /// C.
  Expr chunkCount() const { return chunks; }

  /// A scoring warp, before it writes scores of block `block`, and after; all of its threads.
  void acquire(Expr block);
  void release(Expr block);
  /// f32 [blockRows] of a block.
  void storeScore(Expr score, Expr block, Expr row) { k.store(score, slots, (block & 1) * static_cast<int>(blockRows) + row); }

  /// The warp that makes documents of them. `scoreExactly` gives the score of a chunk whose score is NaN.
  void run(llvm::function_ref<Expr(Expr row)> scoreExactly);

private:
  struct Document {
    Expr score, number, first, end;
  };
  /// The list of the tile whose documents come by.
  struct List {
    Expr size, tile;
    void slots(llvm::SmallVectorImpl<mlir::Value *> &out) {
      size.slots(out);
      tile.slots(out);
    }
  };

  Expr firstDocumentFrom(Expr row);
  void takeRows(Expr block, Expr firstRow, llvm::function_ref<Expr(Expr row)> scoreExactly);
  Expr rankedBelow(Expr a, Expr b);
  void insert(const Document &document);
  void writeList();
  void startTile(Expr tile);

  KernelBuilder &k;
  const RouteProblem &problem;
  unsigned blockRows, scoringThreads;
  Slab boundsSlab;
  Array slots, listScores, listNumbers, listFirsts, listEnds, documents;
  Expr chunks, firstTile, endTile;
  // Of the warp that runs: the list, and the document that is not finished yet.
  List list;
  Expr open, openFirst, openState;
};

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_TEMPLATES_ROUTEDOCUMENTS_H
