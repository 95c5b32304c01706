// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/templates/RouteQuery.h"

using namespace mlir;
using namespace msa::gpu;
using msa::Reduce;
using Effect = KernelBuilder::Effect;

Expr msa::gpu::maxOrNaN(Expr a, Expr b) {
  return a.builder().ptx("max.NaN.f32 $0, $1, $2;", a.type(), {a.value(), b.value()}, Effect::Pure)[0];
}

Expr msa::gpu::ballot(Expr condition) {
  KernelBuilder &k = condition.builder();
  return k.ptx("{\n.reg .pred p;\nsetp.ne.b32 p, $1, 0;\nvote.sync.ballot.b32 $0, p, 0xffffffff;\n}", k.i32(), k.toI32(condition).value(),
               Effect::Ordered)[0];
}

Expr msa::gpu::countBits(Expr bits) { return bits.builder().ptx("popc.b32 $0, $1;", bits.type(), bits.value(), Effect::Pure)[0]; }
Expr msa::gpu::highestBit(Expr bits) { return bits.builder().ptx("bfind.u32 $0, $1;", bits.type(), bits.value(), Effect::Pure)[0]; }

static Expr toFloat(Expr integer) {
  KernelBuilder &k = integer.builder();
  return k.ptx("cvt.rn.f32.s32 $0, $1;", k.f32(), integer.value(), Effect::Pure)[0];
}

Array msa::gpu::viewOf(KernelBuilder &k, const BufferView &view, Type element) {
  Array bytes = k.global(view.buffer, k.getBuilder().getI8Type());
  if (view.offset == Term::constant(0))
    return {bytes.base, element};
  return {k.at(bytes, k.evaluate(view.offset)), element};
}

RouteQuery::RouteQuery(KernelBuilder &k, const RouteProblem &problem, QueryLayout layoutOfForm, bool resident)
    : k(k), problem(problem), layout(std::move(layoutOfForm)), resident(resident), queries(viewOf(k, problem.queries, problem.query)),
      mask(viewOf(k, problem.mask, k.getBuilder().getI8Type())), infoSlab(k.shared(8, 8)) {
  if (resident)
    imageSlab = k.shared(layout.imageBytes, 1024);
  if (layout.scalesTokens()) {
    upSlab = k.shared(layout.tokens * 4);
    downSlab = k.shared(layout.tokens * 4);
  }
  tokenCount = k.toI32(k.evaluate(problem.tokens));
}

//===--- Who takes part. ---===//

/// Shared memory: how many tokens the mask lets in, and the last of them.
void RouteQuery::findTokens() {
  if (problem.tokenReduce == Reduce::max)
    return;
  Array info = k.sharedArray(infoSlab, k.i32());
  k.ifThen(k.warp() == 0, [&] {
    Expr count = k.constant(0), last = k.constant(0), all = tokenCount;
    k.forLoop(k.constant(0), all, k.constant(32), State(count, last), [&](Expr first) {
      Expr token = first + k.lane(), inside = k.min(token, all - 1);
      Expr on = ballot((token < all) & (k.toI32(k.load(mask, inside)) != 0));
      count += countBits(on);
      last = k.select(on != 0, first + highestBit(on), last);
    });
    k.ifThen(k.lane() == 0, [&] {
      k.store(count, info, k.constant(0));
      k.store(last, info, k.constant(1));
    });
  });
}

Expr RouteQuery::tokenOf(Expr column) {
  return problem.tokenReduce == Reduce::last ? k.load(k.sharedArray(infoSlab, k.i32()), k.constant(1)) : column;
}

Expr RouteQuery::takesPart(Expr column) {
  Expr all = tokenCount;
  if (problem.tokenReduce == Reduce::last)
    all = k.min(k.load(k.sharedArray(infoSlab, k.i32()), k.constant(0)), k.constant(1));
  // A column that is not there asks for token 0, so that the load is harmless; without tokens there is nothing to ask.
  Expr there = column < all, result = k.constant(0);
  k.ifThen(there, State(result), [&] { result = k.toI32(k.load(mask, tokenOf(column))); });
  return result != 0;
}

//===--- The image. ---===//

static Expr exponentField(KernelBuilder &k, Expr value) { return (k.bitcast(value, k.i32()) >> 23) & 255; }
static Expr powerOfField(KernelBuilder &k, Expr field) { return k.bitcast(field << 23, k.f32()); }

Expr RouteQuery::loadQuery(Expr token, Expr element) { return k.loadF32(queries, k.toI64(token) * problem.row + k.toI64(element)); }

void RouteQuery::makeImage(Expr group) {
  Expr first = group * static_cast<int>(layout.tokens);
  unsigned warps = k.getSignature().threads / 32;
  bool small = isa<Float8E4M3FNType>(layout.element);
  if (layout.scalesTokens()) {
    // The largest element of a token becomes a number in [2^14, 2^15), of e4m3 [2^7, 2^8): small elements keep as many bits as the type has.
    int top = small ? 7 : 14;
    Array up = k.sharedArray(upSlab, k.f32()), down = k.sharedArray(downSlab, k.f32());
    k.forLoop(k.warp(), k.constant(layout.tokens), k.constant(warps), [&](Expr column) {
      Expr largest = k.constantF(0);
      k.ifThen(takesPart(first + column), State(largest), [&] {
        Expr token = tokenOf(first + column);
        Expr from = k.toI64(token) * problem.row;
        k.forLoop(k.lane() * 4, k.constant(problem.row), k.constant(128), State(largest), [&](Expr i) {
          k.noUnroll();
          for (Expr value : k.loadVector(queries, from + k.toI64(i), 4))
            largest = maxOrNaN(largest, k.abs(k.toF32(value)));
        });
        largest = k.warpReduce(largest, maxOrNaN);
      });
      Expr field = k.max(exponentField(k, largest), k.constant(top + 1));
      Expr finite = field != 255;
      // e4m3 has no infinity: NaN makes such a token's scores be computed again.
      double strange = small ? std::numeric_limits<double>::quiet_NaN() : 1.0;
      k.ifThen(k.lane() == 0, [&] {
        k.store(k.select(finite, powerOfField(k, 254 + top - field), k.constantF(strange)), up, column);
        k.store(k.select(finite, powerOfField(k, field - top), k.constantF(1)), down, column);
      });
      k.syncWarp();
    });
    k.syncThreads();
  }
  Array image = resident ? k.sharedArray(imageSlab, k.i32())
                         : Array{k.at({k.workspace(), k.getBuilder().getI8Type()}, groupImage(group)), k.i32()};
  unsigned pieceElements = layout.pieceElements();
  int64_t pieces = layout.depth / pieceElements;
  // Four pieces of a token, then the next token: reads of 128 bytes, and writes that fill a fragment.
  k.forLoop(k.thread(), k.constant(pieces * layout.tokens), k.constant(k.getSignature().threads), [&](Expr item) {
    Expr column = (item >> 2) % layout.tokens, piece = item / (4 * layout.tokens) * 4 + (item & 3);
    std::array<SmallVector<Expr>, 2> words;
    for (auto &part : words)
      part.assign(4, k.constant(0));
    Expr there = takesPart(first + column) & (piece * static_cast<int>(pieceElements) < problem.row);
    State state = layout.parts == 2 ? State(words[0], words[1]) : State(words[0]);
    k.ifThen(there, state, [&] {
      Expr at = k.toI64(tokenOf(first + column)) * problem.row + k.toI64(piece * static_cast<int>(pieceElements));
      if (layout.parts == 1) {
        words[0] = k.load16(queries, at, Reuse::Default);
        return;
      }
      for (unsigned i = 0; i < pieceElements; i += 4) {
        SmallVector<Expr> values = k.loadVector(queries, at + static_cast<int>(i), 4);
        for (Expr &value : values) {
          value = k.toF32(value);
          if (layout.scalesTokens())
            value *= k.load(k.sharedArray(upSlab, k.f32()), column);
        }
        split(values, i * 4 / pieceElements, words);
      }
    });
    for (unsigned part = 0; part < layout.parts; ++part)
      k.storeVector(words[part], image, (layout.offset(k, column, piece) + static_cast<int64_t>(part * layout.partStride)) / 4);
  });
}

/// Puts the parts of four values into words of a piece, from `word` on.
void RouteQuery::split(ArrayRef<Expr> values, unsigned word, std::array<SmallVector<Expr>, 2> &words) {
  if (isa<Float8E4M3FNType>(layout.element)) {
    words[0][word] = k.packE4M3(values[0], values[1], values[2], values[3]);
    SmallVector<Expr> rest = k.unpackE4M3(words[0][word]);
    for (auto [left, value] : llvm::zip(rest, values))
      left = value - left;
    words[1][word] = k.packE4M3(rest[0], rest[1], rest[2], rest[3]);
    return;
  }
  for (unsigned i = 0; i < 2; ++i) {
    Expr high = k.pack(values[2 * i], values[2 * i + 1], layout.element);
    auto [a, b] = k.unpack(high, layout.element);
    words[0][word + i] = high;
    words[1][word + i] = k.pack(values[2 * i] - a, values[2 * i + 1] - b, layout.element);
  }
}

void RouteQuery::makeGroups() {
  k.forItems(groups(), 1, [&](Expr group) {
    makeImage(group);
    if (!layout.scalesTokens())
      return;
    Array to = factors(group), down = k.sharedArray(downSlab, k.f32());
    k.forLoop(k.thread(), k.constant(layout.tokens), k.constant(k.getSignature().threads),
              [&](Expr column) { k.store(k.load(down, column), to, column); });
    k.syncThreads(); // before the next group's factors
  });
}

//===--- Scores. ---===//

Expr RouteQuery::combine(Expr a, Expr b) { return problem.tokenReduce == Reduce::mean ? a + b : maxOrNaN(a, b); }

Expr RouteQuery::start() {
  return k.constantF(problem.tokenReduce == Reduce::mean ? 0.0 : -std::numeric_limits<double>::infinity());
}

RouteQuery::Columns::Columns(RouteQuery &query, Expr group) : query(query), group(group) {
  KernelBuilder &k = query.k;
  for (unsigned i = 0; i < query.layout.tokens / 4; ++i) {
    if (i % 32 == 0)
      bits.push_back(k.constant(0));
    Expr column = group * static_cast<int>(query.layout.tokens) + (i / 2 * 8 + i % 2) + Fragment::firstColumn(k);
    bits.back() = bits.back() | (k.toI32(query.takesPart(column)) << static_cast<int>(i % 32));
  }
  // Of a query that stays, registers hold them.
  if (query.layout.scalesTokens() && query.resident)
    for (unsigned i = 0; i < query.layout.tokens / 4; ++i)
      weights.push_back(weight(i));
}

Array RouteQuery::factors(Expr group) {
  if (resident)
    return k.sharedArray(downSlab, k.f32());
  return {k.at({k.workspace(), k.getBuilder().getI8Type()}, k.toI64(group) * layout.groupBytes()), k.f32()};
}

/// What a product with the token of the lane's column i is multiplied by.
Expr RouteQuery::Columns::weight(unsigned i) {
  KernelBuilder &k = query.k;
  Expr factor = k.load(query.factors(group), Fragment::firstColumn(k) + (i / 2 * 8 + i % 2)); // a power of two
  return query.problem.scale == 1.0 ? factor : factor * k.constantF(query.problem.scale);
}

Expr RouteQuery::Columns::join(const Fragment &sums, unsigned half, Expr before, Expr rowScale) {
  KernelBuilder &k = query.k;
  Expr result = before;
  for (unsigned i = 0; i < query.layout.tokens / 4; ++i) {
    Expr score = sums[i / 2 * 4 + half * 2 + i % 2];
    if (query.layout.scalesTokens())
      score *= weights.empty() ? weight(i) : weights[i];
    else if (query.problem.scale != 1.0)
      score *= k.constantF(query.problem.scale);
    if (rowScale)
      score *= rowScale;
    Expr on = ((bits[i / 32] >> static_cast<int>(i % 32)) & 1) != 0;
    result = k.select(on, query.combine(result, score), result);
  }
  return result;
}

Expr RouteQuery::finish(Expr joined) {
  Expr result = k.quadReduce(joined, [&](Expr a, Expr b) { return combine(a, b); });
  if (problem.tokenReduce == Reduce::max)
    return result;
  Expr count = k.load(k.sharedArray(infoSlab, k.i32()), k.constant(0));
  if (problem.tokenReduce == Reduce::mean)
    return result / toFloat(count);
  return k.select(count == 0, k.constantF(std::numeric_limits<double>::quiet_NaN()), result);
}

Expr RouteQuery::scoreExactly(Expr row) {
  Array keys = k.span(problem.keys, problem.element);
  Expr result = start(), count = k.constant(0), columns = tokenCount;
  if (problem.tokenReduce == Reduce::last)
    columns = k.min(columns, k.constant(1));
  k.forLoop(columns, State(result, count), [&](Expr column) {
    k.ifThen(takesPart(column), State(result, count), [&] {
      Expr token = tokenOf(column), sum = k.constantF(0);
      k.forLoop(k.lane(), k.constant(problem.row), k.constant(32), State(sum), [&](Expr i) {
        sum = k.fma(loadQuery(token, i), k.loadF32(keys, k.toI64(row) * problem.row + k.toI64(i)), sum);
      });
      Expr score = k.warpReduce(sum, [](Expr a, Expr b) { return a + b; });
      if (problem.keyScales)
        score *= k.load(viewOf(k, *problem.keyScales, k.f32()), k.toI64(row));
      if (problem.scale != 1.0)
        score *= k.constantF(problem.scale);
      result = combine(result, score);
      count += 1;
    });
  });
  if (problem.tokenReduce == Reduce::mean)
    return result / toFloat(count);
  if (problem.tokenReduce == Reduce::last)
    return k.select(count == 0, k.constantF(std::numeric_limits<double>::quiet_NaN()), result);
  return result;
}

llvm::Expected<Launch> msa::gpu::emitRouteQuery(ModuleOp module, StringRef symbol, const RouteProblem &problem, const QueryLayout &layout,
                                                const GPUTarget &target) {
  constexpr unsigned threads = 256;
  assert(problem.tokenReduce != Reduce::last && "one token needs no launch of its own");
  KernelBuilder k(module, symbol, target, {.buffers = problem.buffers, .scalars = problem.scalars, .threads = threads}, module.getLoc());
  RouteQuery(k, problem, layout, /*resident=*/false).makeGroups();
  llvm::Expected<int64_t> shared = k.finish();
  if (!shared)
    return shared.takeError();
  Launch launch;
  launch.symbol = symbol.str();
  launch.grid[0] = problem.tokens;
  launch.grid[0].divisor *= layout.tokens;
  launch.block = threads;
  launch.dynamicShared = *shared;
  return launch;
}
