// SPDX-License-Identifier: Apache-2.0

#include "codegen/cpu/RankedList.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace msa::cpu;

KernelBuilder::Values RankedList::at(Value i, int64_t field) {
  KernelBuilder::Values indices = prefix;
  indices.push_back(i);
  if (field >= 0)
    indices.push_back(k.index(field));
  return indices;
}

Value RankedList::loadScore(Value i) { return k.loadRaw(scores, at(i)); }
Value RankedList::loadNumber(Value i) { return k.loadRaw(entries, at(i, 0)); }

Document RankedList::load(Value i) {
  return {loadScore(i), loadNumber(i), k.loadRaw(entries, at(i, 1)), k.loadRaw(entries, at(i, 2))};
}

Document RankedList::loadKey(Value i) { return {loadScore(i), loadNumber(i), {}, {}}; }

void RankedList::store(Value i, const Document &document) {
  k.storeRaw(document.score, scores, at(i));
  k.storeRaw(document.number, entries, at(i, 0));
  k.storeRaw(document.first, entries, at(i, 1));
  k.storeRaw(document.end, entries, at(i, 2));
}

void RankedList::move(Value from, Value to) { store(to, load(from)); }

Value RankedList::better(KernelBuilder &k, const Document &a, const Document &b) {
  auto compare = [&](arith::CmpFPredicate predicate, Value x, Value y) -> Value {
    return arith::CmpFOp::create(k.getBuilder(), k.getLoc(), predicate, x, y);
  };
  // A NaN compares as a number below all others: two of them are equal.
  Value aIsNumber = compare(arith::CmpFPredicate::ORD, a.score, a.score);
  Value bIsNaN = compare(arith::CmpFPredicate::UNO, b.score, b.score);
  Value above = k.orI(compare(arith::CmpFPredicate::OGT, a.score, b.score), k.andI(aIsNumber, bIsNaN));
  Value below = k.orI(compare(arith::CmpFPredicate::OLT, a.score, b.score),
                      k.andI(compare(arith::CmpFPredicate::UNO, a.score, a.score),
                             compare(arith::CmpFPredicate::ORD, b.score, b.score)));
  return k.select(below, above, k.orI(above, k.less(a.number, b.number)));
}

Value RankedList::precedes(Order order, const Document &a, const Document &b) {
  return order == Order::Rank ? better(k, a, b) : k.less(a.number, b.number);
}

Value RankedList::insert(Value size, Value capacity, const Document &document) {
  auto append = [&]() -> KernelBuilder::Values {
    // Climbs while the parent ranks before the new one.
    auto parent = [&](Value i) { return k.div(k.max(k.sub(i, 1), 0), 2); };
    Value hole = k.whileLoop(
        {size},
        [&](ValueRange carried) {
          return k.andI(k.less(k.index(0), carried[0]), better(k, loadKey(parent(carried[0])), document));
        },
        [&](ValueRange carried) -> KernelBuilder::Values {
          Value up = parent(carried[0]);
          move(up, carried[0]);
          return {up};
        })[0];
    store(hole, document);
    return {k.add(size, 1)};
  };
  auto replace = [&]() -> KernelBuilder::Values {
    k.ifThen(better(k, document, loadKey(k.index(0))), [&] { sink(Order::Rank, k.index(0), size, document); });
    return {size};
  };
  return k.ifThenElse(k.less(size, capacity), append, replace)[0];
}

void RankedList::sink(Order order, Value hole, Value size, const Document &document) {
  auto laterChild = [&](Value i) {
    // Indices are clamped so that what the condition does not use may be loaded all the same.
    Value last = k.sub(size, 1);
    Value left = k.min(k.add(k.mul(i, 2), 1), last), right = k.min(k.add(left, 1), last);
    return k.select(precedes(order, loadKey(left), loadKey(right)), right, left);
  };
  Value end = k.whileLoop(
      {hole},
      [&](ValueRange carried) {
        Value hasChild = k.less(k.add(k.mul(carried[0], 2), 1), size);
        return k.andI(hasChild, precedes(order, document, loadKey(laterChild(carried[0]))));
      },
      [&](ValueRange carried) -> KernelBuilder::Values {
        Value child = laterChild(carried[0]);
        move(child, carried[0]);
        return {child};
      })[0];
  store(end, document);
}

void RankedList::sortHeap(Order order, Value size) {
  k.forLoop(k.index(1), size, 1, [&](Value i) {
    Value last = k.sub(size, i);
    Document document = load(last);
    move(k.index(0), last);
    sink(order, k.index(0), last, document);
  });
}

void RankedList::sortByRank(Value size) { sortHeap(Order::Rank, size); }

void RankedList::sortByNumber(Value size) {
  Value half = k.div(size, 2);
  k.forLoop(k.index(0), half, 1, [&](Value i) {
    Value root = k.sub(k.sub(half, 1), i);
    sink(Order::Number, root, size, load(root));
  });
  sortHeap(Order::Number, size);
}
