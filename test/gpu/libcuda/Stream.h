// SPDX-License-Identifier: Apache-2.0
//
// Streams, events and graphs. What is enqueued runs when something waits for it, and no sooner ("latest"), at once ("earliest"), or at
// either time by chance ("random"), so that a program that forgets to wait is found out.

#pragma once

#include "Device.h"

#include <deque>
#include <functional>

namespace standin {

/// Something on a stream. `kind` and `function` are what a graph may not change when it is updated.
struct Operation {
  enum class Kind { Copy, Fill, Kernel, Event, Free } kind = Kind::Copy;
  const void *function = nullptr;
  std::function<CUresult(Device &)> run;
};

struct Graph {
  std::vector<Operation> operations;
};

struct Event {
  bool done = false;
  double milliseconds = 0;
};

struct Stream {
  bool blocking = true; // waits for the default stream, and that for it
  bool recording = false, spoilt = false;
  Graph recorded;
  std::deque<Operation> queue;
};

/// Puts an operation on a stream (null: the default one).
CUresult enqueue(Device &device, CUstream stream, Operation operation);
/// Runs all that is on a stream. The first failure stays the device's.
CUresult drain(Device &device, Stream &stream);
/// The default stream and all that wait for it.
CUresult drainDefault(Device &device);
/// The stream behind a handle; throws if there is none.
Stream &streamOf(Device &device, CUstream handle);

} // namespace standin
