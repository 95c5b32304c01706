// SPDX-License-Identifier: Apache-2.0

#include "codegen/gpu/templates/RouteDocuments.h"

using namespace mlir;
using namespace msa::gpu;
using msa::Reduce;
using Effect = KernelBuilder::Effect;

/// Named barriers: a slot is full, a slot is empty.
static constexpr int fullBarrier = 1, emptyBarrier = 3;

RouteDocuments::RouteDocuments(KernelBuilder &k, const RouteProblem &problem, unsigned blockRows, unsigned scoringThreads)
    : k(k), problem(problem), blockRows(blockRows), scoringThreads(scoringThreads), boundsSlab(k.shared(8, 8)) {
  slots = k.sharedArray(k.shared(2 * blockRows * 4), k.f32());
  listScores = k.sharedArray(k.shared(problem.keep * 4), k.f32());
  listNumbers = k.sharedArray(k.shared(problem.keep * 8), k.i64());
  listFirsts = k.sharedArray(k.shared(problem.keep * 4), k.i32());
  listEnds = k.sharedArray(k.shared(problem.keep * 4), k.i32());
  documents = viewOf(k, problem.documents, k.i64());
  chunks = k.toI32(k.evaluate(problem.chunks));
  // Tiles are shared out evenly, so that a CTA's are neighbours.
  Expr tiles = k.tiles64(), block = k.toI64(k.block()), grid = k.toI64(k.grid());
  firstTile = k.toI32(block * tiles / grid);
  endTile = k.toI32((block + 1) * tiles / grid);
}

//===--- The CTA's rows. ---===//

void RouteDocuments::findRange() {
  Array bounds = k.sharedArray(boundsSlab, k.i32());
  k.ifThen(k.warp() < 2, [&] {
    Expr tile = k.select(k.warp() == 0, firstTile, endTile);
    Expr row = firstDocumentFrom(k.toI32(k.min(k.toI64(tile) * problem.rows, k.toI64(chunks))));
    k.ifThen(k.lane() == 0, [&] { k.store(row, bounds, k.warp()); });
  });
}

void RouteDocuments::loadRange() {
  Array bounds = k.sharedArray(boundsSlab, k.i32());
  begin = k.load(bounds, k.constant(0));
  end = k.load(bounds, k.constant(1));
  blocks = k.ceilDiv(end - begin, blockRows);
}

/// The first row from `row` on that is the first of a document, by a whole warp: 32 probes at a time, 1, 32, 1024... rows apart while they all hit the
/// document that `row` is in, then closer and closer. A document that ends within 32 rows, as most do, takes one look.
Expr RouteDocuments::firstDocumentFrom(Expr row) {
  Expr result = row;
  k.ifThen((row > 0) & (row < chunks), State(result), [&] {
    Expr previous = k.load(documents, row - 1);
    // Documents before `lo` are the previous one, those from `hi` on are not.
    Expr lo = row, hi = chunks, stride = k.constant(1), looking = k.constant(1);
    k.whileLoop(
        State(lo, hi, stride, looking), [&] { return looking != 0; },
        [&] {
          Expr at = lo + (k.lane() + 1) * stride - 1;
          Expr inside = at < hi;
          Expr same = inside & (k.load(documents, k.select(inside, at, row)) == previous);
          Expr hits = countBits(ballot(same)), all = hits == 32;
          lo = lo + hits * stride;
          hi = k.select(all, hi, k.min(hi, lo + stride - 1));
          Expr found = logicalNot(all) & (stride == 1);
          looking = k.toI32(logicalNot(found) & (lo < hi));
          stride = k.select(all, k.min(stride * 32, k.constant(1 << 20)), k.max(stride / 32, k.constant(1)));
        });
    result = lo;
  });
  return result;
}

//===--- Handing over. ---===//

void RouteDocuments::acquire(Expr block) { k.barrierSync((block & 1) + emptyBarrier, scoringThreads + 32); }
void RouteDocuments::release(Expr block) { k.barrierArrive((block & 1) + fullBarrier, scoringThreads + 32); }

void RouteDocuments::run(function_ref<Expr(Expr)> scoreExactly) {
  auto empty = [&](Expr block) {
    k.ifThen(block < blocks, [&] { k.barrierArrive((block & 1) + emptyBarrier, scoringThreads + 32); });
  };
  empty(k.constant(0));
  empty(k.constant(1));
  list = {k.constant(0), firstTile};
  open = k.constant(0);
  openFirst = begin;
  openState = k.constantF(0);
  k.ifThen(k.lane() == 0, [&] { k.store(k.constantF(0), listScores, k.constant(0)); }); // read before there is a list
  k.syncWarp();
  k.forLoop(blocks, State(list, open, openFirst, openState), [&](Expr block) {
    k.barrierSync((block & 1) + fullBarrier, scoringThreads + 32);
    Expr first = begin + block * static_cast<int>(blockRows);
    Expr rows = k.min(end - first, k.constant(blockRows));
    k.forLoop(k.constant(0), rows, k.constant(32), State(list, open, openFirst, openState),
              [&](Expr row) { takeRows(block, first + row, scoreExactly); });
    empty(block + 2);
  });
  startTile(endTile);
}

//===--- Documents. ---===//

void RouteDocuments::takeRows(Expr block, Expr firstRow, function_ref<Expr(Expr)> scoreExactly) {
  Expr lane = k.lane(), row = firstRow + lane, there = row < end;
  Expr blockStart = begin + block * static_cast<int>(blockRows);
  Expr number = k.load(documents, k.min(row, end - 1)), after = k.load(documents, k.min(row + 1, end - 1));
  Expr score = k.load(slots, (block & 1) * static_cast<int>(blockRows) + (firstRow - blockStart) + lane);

  // Rare, so a warp may take its time.
  Expr strange = ballot(there & (score != score));
  k.whileLoop(
      State(score, strange), [&] { return strange != 0; },
      [&] {
        Expr at = highestBit(strange), exact = scoreExactly(firstRow + at);
        score = k.select(lane == at, exact, score);
        strange = strange ^ (k.constant(1) << at);
      });

  Expr last = there & ((row + 1 == end) | (number != after));
  Expr lasts = ballot(last);
  Expr starts = (lasts << 1) | (open ^ 1);
  // The lane where this lane's document starts; -1 where it was open before.
  Expr start = highestBit(starts & ((k.constant(2) << lane) - 1));
  Expr first = k.select(start < 0, openFirst, firstRow + start);

  Expr state = score;
  if (problem.chunkReduce == Reduce::max) {
    for (int distance = 1; distance < 32; distance *= 2) {
      Expr other = k.shuffleIndex(state, (lane - distance) & 31);
      state = k.select(lane - distance >= k.max(start, k.constant(0)), maxOrNaN(other, state), state);
    }
    state = k.select(start < 0, maxOrNaN(openState, state), state);
  } else {
    Expr running = openState;
    k.forLoop(k.constant(32), State(running, state), [&](Expr i) {
      Expr next = k.shuffleIndex(score, i);
      running = k.select(((starts >> i) & 1) != 0, next, running + next);
      state = k.select(lane == i, running, state);
    });
  }
  Expr result = state;
  if (problem.chunkReduce == Reduce::mean)
    result = state / k.ptx("cvt.rn.f32.s32 $0, $1;", k.f32(), (row + 1 - first).value(), Effect::Pure)[0];

  // A document of the list's own tile has to beat the list's last, where it is full.
  Expr tile = first / problem.rows;
  Expr threshold = k.load(listScores, k.max(k.min(list.size, k.constant(problem.keep)) - 1, k.constant(0)));
  Expr useful = (tile != list.tile) | (list.size < problem.keep) | rankedBelow(threshold, result);
  Expr candidates = ballot(last & useful);
  open = k.shuffleIndex(k.toI32(logicalNot(last)), k.constant(31));
  openFirst = k.shuffleIndex(first, k.constant(31));
  openState = k.shuffleIndex(state, k.constant(31));

  // In ascending order: the lowest bit first.
  k.whileLoop(
      State(list, candidates), [&] { return candidates != 0; },
      [&] {
        Expr lowest = candidates & -candidates, from = highestBit(lowest);
        candidates = candidates ^ lowest;
        Document document{k.shuffleIndex(result, from), {}, k.shuffleIndex(first, from), firstRow + from + 1};
        Expr low = k.shuffleIndex(k.toI32(number), from), high = k.shuffleIndex(k.toI32(number >> 32), from);
        document.number = (k.toI64(high) << 32) | (k.toI64(low) & 0xFFFFFFFF);
        startTile(document.first / problem.rows);
        insert(document);
      });
}

/// A score of `a` ranks below one of `b`, whose document comes later: of equals the earlier stays ahead. A NaN is below every number.
Expr RouteDocuments::rankedBelow(Expr a, Expr b) { return (a < b) | ((a != a) & (b == b)); }

/// Puts a document that comes after all of the list's into the list, which is sorted, if there is a place for it.
void RouteDocuments::insert(const Document &document) {
  Expr lane = k.lane(), place = k.constant(0);
  k.forLoop(k.constant(0), list.size, k.constant(32), State(place), [&](Expr group) {
    Expr i = group + lane, there = i < list.size;
    Expr ahead = there & logicalNot(rankedBelow(k.load(listScores, k.select(there, i, k.constant(0))), document.score));
    place += countBits(ballot(ahead));
  });
  k.ifThen(place < problem.keep, State(list), [&] {
    Expr size = k.min(list.size + 1, k.constant(problem.keep));
    // Those behind move by one, from the end on.
    Expr groups = k.ceilDiv(size, 32);
    k.forLoop(groups, State(), [&](Expr fromEnd) {
      Expr i = (groups - 1 - fromEnd) * 32 + lane, moves = (i > place) & (i < size), from = k.max(i - 1, k.constant(0));
      Document moved{k.constantF(0), k.constant64(0), k.constant(0), k.constant(0)};
      k.ifThen(moves, State(moved.score, moved.number, moved.first, moved.end), [&] {
        moved = {k.load(listScores, from), k.load(listNumbers, from), k.load(listFirsts, from), k.load(listEnds, from)};
      });
      k.syncWarp();
      k.ifThen(moves, [&] {
        k.store(moved.score, listScores, i);
        k.store(moved.number, listNumbers, i);
        k.store(moved.first, listFirsts, i);
        k.store(moved.end, listEnds, i);
      });
      k.syncWarp();
    });
    k.ifThen(lane == 0, [&] {
      k.store(document.score, listScores, place);
      k.store(document.number, listNumbers, place);
      k.store(document.first, listFirsts, place);
      k.store(document.end, listEnds, place);
    });
    k.syncWarp();
    list.size = size;
  });
}

/// Writes the list and starts that of `tile`, if that is another one. Tiles between them have no documents.
void RouteDocuments::startTile(Expr tile) {
  k.ifThen(tile != list.tile, State(list), [&] {
    writeList();
    Array counts = viewOf(k, problem.counts, k.i64());
    k.forLoop(list.tile + 1 + k.lane(), tile, k.constant(32), [&](Expr skipped) { k.store(k.constant64(0), counts, skipped); });
    k.syncWarp();
    list.size = k.constant(0);
    list.tile = tile;
  });
}

void RouteDocuments::writeList() {
  Array scores = viewOf(k, problem.scores, k.f32()), entries = viewOf(k, problem.entries, k.i64()), counts = viewOf(k, problem.counts, k.i64());
  Expr base = k.toI64(list.tile) * problem.keep;
  k.forLoop(k.lane(), list.size, k.constant(32), [&](Expr i) {
    Expr at = base + k.toI64(i);
    k.store(k.load(listScores, i), scores, at);
    k.store(k.load(listNumbers, i), entries, at * 3);
    k.store(k.toI64(k.load(listFirsts, i)), entries, at * 3 + 1);
    k.store(k.toI64(k.load(listEnds, i)), entries, at * 3 + 2);
  });
  k.ifThen(k.lane() == 0, [&] { k.store(k.toI64(list.size), counts, list.tile); });
}
