// SPDX-License-Identifier: Apache-2.0
//===- RouteQuery.h - a query as tensor cores take it ---------------------===//
//
// Tokens are taken in groups. A group's image holds pieces of 16 bytes, consecutive elements of one part of one token; a form says where a piece
// lies. It is made in shared memory by each CTA, or in the workspace by a launch of its own, one CTA a group. Tokens that the mask leaves
// out are as good as absent: their columns are not looked at.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_GPU_TEMPLATES_ROUTEQUERY_H
#define MSA_CODEGEN_GPU_TEMPLATES_ROUTEQUERY_H

#include "codegen/gpu/Fragments.h"
#include "codegen/gpu/templates/Route.h"

namespace msa::gpu {

/// Where the pieces of a group are.
struct QueryLayout {
  mlir::Type element; ///< that is multiplied: bf16, f16 or f8E4M3FN
  unsigned tokens;    ///< of a group
  unsigned parts;
  int64_t depth; ///< elements of a token in the image: `row`, filled with zeros
  int64_t imageBytes;
  std::function<Expr(KernelBuilder &k, Expr token, Expr piece)> offset; ///< bytes, of a token's piece of part 0
  int64_t partStride;                                                   ///< bytes from there to part 1

  unsigned pieceElements() const { return 128 / element.getIntOrFloatBitWidth(); }
  /// Whether tokens are scaled by a power of two before they are split: where the type's exponents are few.
  bool scalesTokens() const { return parts == 2 && !element.isBF16(); }

  /// A group in the workspace: factors of its tokens, then its image, which is 1024-byte aligned.
  int64_t factorBytes() const { return (int64_t(tokens) * 4 + 1023) / 1024 * 1024; }
  int64_t groupBytes() const { return factorBytes() + imageBytes; }
};

class RouteQuery {
public:
  /// Plans shared memory: with `resident`, of the image as well.
  RouteQuery(KernelBuilder &k, const RouteProblem &problem, QueryLayout layout, bool resident);

  /// All threads: finds which tokens take part. A barrier of the CTA comes next.
  void findTokens();
  /// All threads, after that barrier: makes the image of a group. With barriers of its own; one comes next.
  void makeImage(Expr group);
  /// For a launch of its own: makes all groups in the workspace.
  void makeGroups();

  /// i32: tokens there are; 1 where the last alone counts.
  Expr tokens() const { return tokenCount; }
  Expr groups() { return k.ceilDiv(tokenCount, layout.tokens); }
  const QueryLayout &getLayout() const { return layout; }
  /// The image in shared memory.
  Slab image() const { return imageSlab; }
  /// Where the image of a group starts in the workspace, in bytes.
  Expr groupImage(Expr group) { return k.toI64(group) * layout.groupBytes() + layout.factorBytes(); }

  /// The reduction of a warp's scores over tokens.
  class Columns {
  public:
    /// Which of the lane's columns take part, for the group.
    Columns(RouteQuery &query, Expr group);
    /// Joins the products of the lane's row of `half` with what earlier groups gave; `rowScale` multiplies them if there is one.
    /// Of a lane's own columns only.
    Expr join(const Fragment &sums, unsigned half, Expr before, Expr rowScale);

  private:
    Expr weight(unsigned i);

    RouteQuery &query;
    Expr group;
    llvm::SmallVector<Expr> bits, weights;
  };
  /// What `join` starts with.
  Expr start();
  /// A row's score of all lanes of a quad's results: in all of them.
  Expr finish(Expr joined);

  /// Scores a row in f32, by one warp; the same in all lanes.
  Expr scoreExactly(Expr row);

private:
  Expr tokenOf(Expr column); ///< that stands in a column (counted over all groups)
  Expr takesPart(Expr column);
  Expr combine(Expr a, Expr b);
  Expr loadQuery(Expr token, Expr element);
  void split(llvm::ArrayRef<Expr> values, unsigned word, std::array<llvm::SmallVector<Expr>, 2> &words);
  Array factors(Expr group);

  KernelBuilder &k;
  const RouteProblem &problem;
  QueryLayout layout;
  bool resident;
  Array queries, mask;
  Slab imageSlab, infoSlab, upSlab, downSlab;
  Expr tokenCount;
};

/// NaN if one is.
Expr maxOrNaN(Expr a, Expr b);
/// The lanes where `condition` holds, as bits.
Expr ballot(Expr condition);
Expr countBits(Expr bits);
/// The number of the highest bit; -1 without bits.
Expr highestBit(Expr bits);

/// The layouts of the forms. `row` is a multiple of 32 (64 for e4m3 keys).
QueryLayout routeDirectLayout(const RouteProblem &problem, unsigned tokens);
QueryLayout routeHopperLayout(const RouteProblem &problem, unsigned tokens);

/// A launch that makes the groups in the workspace.
llvm::Expected<Launch> emitRouteQuery(mlir::ModuleOp module, llvm::StringRef symbol, const RouteProblem &problem, const QueryLayout &layout,
                                      const GPUTarget &target);

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_TEMPLATES_ROUTEQUERY_H
