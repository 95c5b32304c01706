// SPDX-License-Identifier: Apache-2.0
//===- Route.h - scan a bank's routing keys on tensor cores ---------------===//
//
// kernel.route_scan for one inner product per (query token, chunk): one head, or as many heads as the keys have and their mean. Each chunk's
// score is a reduction over the tokens that the mask lets in, each document's one over its chunks; of every tile of `rows` chunks the
// best `keep` documents that start there are written, best first. Nothing else leaves a CTA.
//
//   RouteDirect.cpp     sm_80 and up: keys go from global memory into mma.sync by loads of 16 bytes, no shared memory between. 8, 16 or 32
//                       tokens with the query in shared memory; any number of tokens in groups of 32 otherwise
//   RouteHopper.cpp     sm_90: keys are the 64 rows of wgmma, tokens its columns; TMA ring, persistent
//   RouteQuery.cpp      the query as tensor cores take it
//   RouteDocuments.cpp  from chunk scores to each tile's best documents: a warp of its own
//
// A CTA walks a contiguous range of tiles, from the first document that starts in its first tile to the last one's end, so rows are read once.
// Up to 64 tokens memory is what bounds a scan. A query too large for shared memory (64 tokens of 1024 elements) comes from L2 over and over, a third as
// many bytes as keys; with more tokens there is more of that than L2 gives beside full tensor cores.
//
// Precision. Keys are exact. A query is split in two parts, high + low, each multiplied with the keys and summed in f32:
//   bf16 keys  what is lost of an f32 query's element is at most 2^-16 of it
//   f16 keys   the query is scaled by a power of two for each token; what is lost is at most 2^-22 of an element, or 2^-39 of the largest
//   e4m3 keys  a row's scale multiplies the sum. RouteDirect.cpp does as for f16 keys, for an e4m3 number is an f16 number. RouteHopper.cpp has parts
//              of e4m3 too, twice as fast: what is lost is at most 2^-9 of an element (nothing of a bf16 query's), or 2^-17 of the largest. Sums
//              lose bits inside the tensor core, and are added to f32 registers every 128 elements
// A query that is stored in the keys' own 16-bit type has one part and loses nothing. The f32 sum adds at most 2^-23 sqrt(row) or so of
// sum |q_k| |key_k|. A chunk whose score comes out NaN (an infinity or a NaN in its key or in the query) is scored again in plain f32, so that
// infinities come out as on the CPU.
//
// A score does not depend on the grid, on the tile, nor on the number of tokens that a form takes at once, but forms differ in the order of sums.
//
//===----------------------------------------------------------------------===//

#ifndef MSA_CODEGEN_GPU_TEMPLATES_ROUTE_H
#define MSA_CODEGEN_GPU_TEMPLATES_ROUTE_H

#include "codegen/gpu/KernelBuilder.h"
#include "codegen/gpu/Launch.h"
#include "dialect/exec/ExecDialect.h"
#include "dialect/kernel/KernelDialect.h"

namespace msa::gpu {

/// A view of a kernel's buffer.
struct BufferView {
  unsigned buffer = 0;
  Term offset = Term::constant(0); ///< bytes
};

/// A scan, as far as it is known when it is compiled, and where a kernel's parameters have it.
struct RouteProblem {
  mlir::Type element;         ///< of the keys: bf16, f16 or f8E4M3FN
  mlir::Type query;           ///< f32, or a 16-bit type: the keys' element, or any beside keys of f8E4M3FN
  int64_t row = 0;            ///< elements of a key
  int64_t rows = 0, keep = 0; ///< of a tile
  Reduce tokenReduce = Reduce::max, chunkReduce = Reduce::max;
  double scale = 1.0; ///< of an inner product of `row` elements

  unsigned buffers = 0, scalars = 0;            ///< of the kernel
  unsigned keys = 0;                            ///< a SPANS buffer
  BufferView queries, mask, documents;          ///< [M, row], i1 [M], i64 [C]
  BufferView scores, entries, counts;           ///< f32 [tiles, keep], i64 [tiles, keep, 3], i64 [tiles]
  std::optional<BufferView> keyScales;          ///< f32 [C], with keys of f8E4M3FN
  Term tokens, chunks;                          ///< M, C
  std::optional<uint32_t> tokensScalar;         ///< M, where it is a scalar of its own: cases go by it

  /// Parts that make a query element.
  unsigned parts() const { return query == element ? 1 : 2; }
};

/// One way to compute it.
struct RouteInstance {
  enum class Form { Direct, Hopper };
  Form form = Form::Direct;
  unsigned tokens = 8;  ///< that are multiplied at once
  bool resident = true; ///< the query stays in shared memory, and there are no more tokens than these
  unsigned stages = 4;  ///< Direct: pairs of loads in flight a lane, one for each of its rows; Hopper: slabs of 128 bytes in the ring
  unsigned chunks = 128; ///< of a block; Hopper alone has more

  /// "direct_8_s4", "hopper_64x384_stream_s3"
  std::string name() const;
};

/// An instance for up to so many tokens.
struct RouteChoice {
  int64_t below = 0; ///< taken when M < below; 0: always
  RouteInstance instance;
};

/// The instances for a problem, in the order in which they are tried; the last takes any M. An error says why no template serves it.
llvm::Expected<std::vector<RouteChoice>> pickRoute(const RouteProblem &problem, const GPUTarget &target);

/// Adds the functions of an instance to `module`. \returns how they are launched, in order. An error where the instance does not fit the device.
llvm::Expected<std::vector<Launch>> emitRoute(mlir::ModuleOp module, llvm::StringRef symbol, const RouteProblem &problem,
                                              const RouteInstance &instance, const GPUTarget &target);

/// The launches of a kernel whose op is a kernel.route_scan, or an error that says why the template does not serve it; nothing is added then.
llvm::Expected<std::vector<LaunchCase>> lowerRouteScan(exec::KernelOp kernel, kernel::RouteScanOp op, const GPUTarget &target);

//===--- The forms. ---===//

llvm::Expected<Launch> emitRouteDirect(mlir::ModuleOp, llvm::StringRef symbol, const RouteProblem &, const RouteInstance &, const GPUTarget &);
llvm::Expected<Launch> emitRouteHopper(mlir::ModuleOp, llvm::StringRef symbol, const RouteProblem &, const RouteInstance &, const GPUTarget &);

/// The view that a memref of the kernel's body is, if its elements lie one after the other from a multiple of `alignment` bytes on. An error names it.
llvm::Expected<BufferView> contiguousView(exec::KernelOp kernel, mlir::Value memref, int64_t alignment, llvm::StringRef name);
/// A view as an Array of `element`.
Array viewOf(KernelBuilder &k, const BufferView &view, mlir::Type element);

} // namespace msa::gpu

#endif // MSA_CODEGEN_GPU_TEMPLATES_ROUTE_H
