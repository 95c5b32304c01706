// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/templates/AttendRows.h"
#include <limits>

using namespace mlir;
using namespace msa::gpu;

static constexpr double infinity = std::numeric_limits<double>::infinity();
static constexpr double log2e = 1.4426950408889634;

//===--- AttendRows. ---===//

AttendRows::AttendRows(KernelBuilder &k, const AttendProblem &problem, const AttendInstance &instance)
    : k(k), problem(problem), instance(instance), batchCount(k.toI32(k.evaluate(problem.batches))),
      queryCount(k.toI32(k.evaluate(problem.queries))), keyCount(k.toI32(k.evaluate(problem.keys))),
      rowBlockCount(k.ceilDiv(queryCount, instance.rows / instance.pack)) {}

AttendTile AttendRows::tile(Expr batch, Expr headBlock, Expr rowBlock) const {
  Expr head = headBlock * instance.pack;
  return {batch, rowBlock * (instance.rows / instance.pack), head, head / problem.group(), {}};
}

KeyRange AttendRows::visible(Expr query) const {
  query = k.min(query, queryCount - 1);
  KeyRange range{k.constant(0), keyCount};
  if (problem.documents) {
    Array ends{k.workspace(), k.i32()};
    Expr place = k.toI64(query) * 2;
    range.begin = k.load(ends, place);
    if (!problem.causal)
      range.end = k.load(ends, place + 1);
  }
  if (problem.causal)
    range.end = query + 1 + (keyCount - queryCount);
  return range;
}

KeyRange AttendRows::visible(const AttendTile &tile) const {
  // Both ends grow with the query.
  KeyRange range{visible(tile.query).begin, visible(tile.query + (instance.rows / instance.pack - 1)).end};
  if (!tile.split)
    return range;
  Expr blocks = k.ceilDiv(k.max(range.end - range.begin, k.constant(0)), instance.keys);
  Expr part = k.ceilDiv(blocks, instance.splits) * instance.keys;
  range.begin = range.begin + tile.split * part;
  range.end = k.min(range.end, range.begin + part);
  return range;
}

Value AttendRows::address(const AttendTensor &tensor, Expr batch, Expr head) const {
  Type element = tensor.buffer == problem.output.buffer ? problem.result : problem.element;
  int64_t skipped = tensor.offset / (element.getIntOrFloatBitWidth() / 8);
  Expr index =
      k.toI64(batch) * k.evaluate(tensor.batch) + k.toI64(head) * k.evaluate(tensor.head) + k.constant64(skipped);
  return k.at(k.global(tensor.buffer, element), index);
}

void AttendRows::store(const AttendTile &tile, Expr first, const Fragment &outputs, const std::array<Expr, 2> &maximum,
                       const std::array<Expr, 2> &sum) const {
  for (unsigned half = 0; half < 2; ++half) {
    Expr row = first + Fragment::row(k, half);
    Expr query = queryOf(tile, row), head = headOf(tile, row), column = k.toI64(Fragment::firstColumn(k));
    k.ifThen(query < queryCount, [&] {
      if (tile.split) {
        AttendParts parts(k, problem, instance.splits);
        Expr part = parts.row(tile.batch, query, head) + k.toI64(tile.split);
        for (unsigned i = 2 * half; i < outputs.size(); i += 4)
          k.storeVector({outputs[i], outputs[i + 1]}, parts.outputs,
                        part * problem.valueDim + column + Fragment::column(i));
        k.ifThen((k.lane() & 3) == 0, [&] { k.storeVector({maximum[half], sum[half]}, parts.statistics, part * 2); });
        return;
      }
      // A row that saw no key gives 0.
      Expr factor = inverseSum(k, maximum[half], sum[half]);
      Array result{address(problem.output, tile.batch, head), problem.result};
      Expr start = k.toI64(query) * tokenStride(problem.output) + column;
      for (unsigned i = 2 * half; i < outputs.size(); i += 4)
        storePair(k, outputs[i] * factor, outputs[i + 1] * factor, result, start + Fragment::column(i));
    });
  }
}

//===--- AttendParts. ---===//

AttendParts::AttendParts(KernelBuilder &k, const AttendProblem &problem, unsigned splits)
    : k(k), problem(problem), splits(splits), outputs{k.workspace(), k.f32()}, statistics{k.workspace(), k.f32()} {
  Expr all = k.evaluate(product(product(problem.batches, problem.queries), problem.heads * splits * problem.valueDim));
  statistics.base = k.at(outputs, all);
}

Expr AttendParts::row(Expr batch, Expr query, Expr head) const {
  Expr queries = k.evaluate(problem.queries);
  return ((k.toI64(batch) * queries + k.toI64(query)) * problem.heads + k.toI64(head)) * splits;
}

//===--- Softmax. ---===//

OnlineSoftmax::OnlineSoftmax(KernelBuilder &k, double scale, unsigned polynomials)
    : scale(scale * log2e), polynomials(polynomials) {
  maximum.fill(k.constantF(-infinity));
  sum.fill(k.constantF(0));
}

Expr OnlineSoftmax::weight(KernelBuilder &k, Expr exponent, unsigned number) const {
  if (number * polynomials / 64 == (number + 1) * polynomials / 64)
    return k.exp2Approx(exponent);
  // 2^(n + f) with a whole n and f in [-1/2, 1/2]: a cubic for 2^f, n added to its exponent. Adding 1.5 2^23 rounds.
  constexpr double magic = 12582912;
  exponent = k.max(exponent, k.constantF(-126));
  Expr rounded = exponent + magic, fraction = exponent - (rounded - magic);
  Expr power = k.constantF(0.05517167);
  for (double coefficient : {0.24261113, 0.69326099, 0.99992807})
    power = k.fma(power, fraction, k.constantF(coefficient));
  return k.bitcast(k.bitcast(power, k.i32()) + (k.bitcast(rounded, k.i32()) << 23), k.f32());
}

Rescale OnlineSoftmax::update(KernelBuilder &k, Fragment &scores) {
  constexpr double slack = 8; // weights are at most 2^8, which f16 holds well
  std::array<Expr, 2> largest = scores.reduceRows(k, [&](Expr a, Expr b) { return k.max(a, b); });
  Rescale rescale;
  rescale.factors.fill(k.constantF(1));
  // From -inf on, too: the difference to a number is inf, that to -inf is no number and not larger.
  Expr grows = (largest[0] - maximum[0] > slack / scale) | (largest[1] - maximum[1] > slack / scale);
  rescale.needed = k.any(grows);
  k.ifThen(rescale.needed, State(rescale.factors, maximum, sum), [&] {
    for (unsigned half = 0; half < 2; ++half) {
      Expr newer = k.max(maximum[half], largest[half]);
      // Of a row that has seen nothing yet the maximum is not a number to subtract.
      Expr origin = k.select(newer == -infinity, k.constantF(0), newer);
      rescale.factors[half] = k.exp2Approx((maximum[half] - origin) * scale);
      sum[half] *= rescale.factors[half];
      maximum[half] = newer;
    }
  });
  for (unsigned half = 0; half < 2; ++half) {
    Expr origin = k.select(maximum[half] == -infinity, k.constantF(0), maximum[half]) * -scale;
    llvm::SmallVector<Expr> weights;
    for (unsigned i = 0; i < scores.size(); ++i)
      if (Fragment::half(i) == half) {
        scores[i] = weight(k, k.fma(scores[i], k.constantF(scale), origin), i);
        weights.push_back(scores[i]);
      }
    for (; weights.size() > 1; weights.resize(weights.size() / 2))
      for (unsigned i = 0; i < weights.size() / 2; ++i)
        weights[i] = weights[2 * i] + weights[2 * i + 1];
    sum[half] += weights[0];
  }
  return rescale;
}

void Rescale::apply(KernelBuilder &k, Fragment &outputs) const {
  k.ifThen(needed, State(outputs), [&] {
    for (unsigned i = 0; i < outputs.size(); ++i)
      outputs[i] *= factors[Fragment::half(i)];
  });
}

Expr msa::gpu::inverseSum(KernelBuilder &k, Expr maximum, Expr sum) {
  return k.select(maximum == -infinity, k.constantF(0), k.rcpApprox(sum));
}

std::array<Expr, 2> OnlineSoftmax::maxima(KernelBuilder &) const { return {maximum[0] * scale, maximum[1] * scale}; }

std::array<Expr, 2> OnlineSoftmax::sums(KernelBuilder &k) const {
  auto add = [](Expr a, Expr b) { return a + b; };
  return {k.quadReduce(sum[0], add), k.quadReduce(sum[1], add)};
}

/// Hides scores of columns for which `hidden`, given a column of the lane's first and its border, holds.
static void hide(KernelBuilder &k, Fragment &scores, const std::array<Expr, 2> &borders, function_ref<Expr(Expr column, Expr border)> hidden) {
  for (unsigned i = 0; i < scores.size(); ++i)
    scores[i] = k.select(hidden(k.constant(Fragment::column(i)), borders[Fragment::half(i)]), k.constantF(-infinity), scores[i]);
}

void msa::gpu::hideBehind(KernelBuilder &k, Fragment &scores, Expr key, const std::array<KeyRange, 2> &ranges) {
  Expr first = key + Fragment::firstColumn(k);
  hide(k, scores, {ranges[0].end - first, ranges[1].end - first}, [](Expr column, Expr end) { return end <= column; });
}

void msa::gpu::hideBefore(KernelBuilder &k, Fragment &scores, Expr key, const std::array<KeyRange, 2> &ranges) {
  Expr first = key + Fragment::firstColumn(k);
  hide(k, scores, {ranges[0].begin - first, ranges[1].begin - first}, [](Expr column, Expr begin) { return column < begin; });
}

void msa::gpu::storePair(KernelBuilder &k, Expr low, Expr high, const Array &array, Expr index) {
  if (array.element.isF32())
    return k.storeVector({low, high}, array, index);
  k.store(k.pack(low, high, array.element), {k.at(array, index), k.i32()}, k.constant(0));
}
