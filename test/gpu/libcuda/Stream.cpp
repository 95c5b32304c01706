// SPDX-License-Identifier: Apache-2.0

#include "Stream.h"

#include <algorithm>
#include <chrono>

namespace standin {

namespace {

bool runsAtOnce(Device &device) {
  switch (device.configuration.options.asynchrony) {
  case ptxemu::Asynchrony::Latest:
    return false;
  case ptxemu::Asynchrony::Random:
    return device.random() & 1;
  case ptxemu::Asynchrony::Earliest:
    return true;
  }
  return true;
}

double now() { return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

Event &eventOf(CUevent handle) { return *reinterpret_cast<Event *>(handle); }

/// Spoils a recording that meets a call which it cannot record.
CUresult refuseWhileRecording(Stream &stream, const char *name) {
  stream.spoilt = true;
  complain(std::string(name) + ": called on a stream that is being recorded");
  return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
}

} // namespace

Stream &streamOf(Device &device, CUstream handle) {
  if (!handle)
    return *device.streams.front();
  for (auto &stream : device.streams)
    if (stream.get() == reinterpret_cast<Stream *>(handle))
      return *stream;
  throw std::runtime_error("the stream does not exist");
}

CUresult drain(Device &device, Stream &stream) {
  while (!stream.queue.empty()) {
    Operation operation = std::move(stream.queue.front());
    stream.queue.pop_front();
    // After a failure nothing runs any more.
    if (device.sticky != CUDA_SUCCESS)
      continue;
    CUresult result;
    try {
      result = operation.run(device);
    } catch (const std::exception &error) {
      complain(error.what());
      result = CUDA_ERROR_ILLEGAL_ADDRESS;
    }
    if (result != CUDA_SUCCESS)
      device.sticky = result;
  }
  return device.sticky;
}

CUresult drainDefault(Device &device) {
  for (auto &stream : device.streams)
    if (stream->blocking && stream != device.streams.front())
      (void)drain(device, *stream);
  return drain(device, *device.streams.front());
}

CUresult enqueue(Device &device, CUstream handle, Operation operation) {
  Stream &stream = streamOf(device, handle);
  if (stream.recording) {
    stream.recorded.operations.push_back(std::move(operation));
    return CUDA_SUCCESS;
  }
  if (stream.blocking && handle)
    (void)drain(device, *device.streams.front());
  stream.queue.push_back(std::move(operation));
  if (runsAtOnce(device))
    (void)drain(device, stream);
  return CUDA_SUCCESS;
}

} // namespace standin

using namespace standin;

//===----------------------------------------------------------------------===//
// Streams and events
//===----------------------------------------------------------------------===//

STANDIN_EXPORT CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
  return call("cuStreamCreate", true, [&](Device &device) {
    device.streams.push_back(std::make_unique<Stream>());
    device.streams.back()->blocking = !(flags & CU_STREAM_NON_BLOCKING);
    *stream = reinterpret_cast<CUstream>(device.streams.back().get());
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuStreamDestroy_v2(CUstream handle) {
  return callToRelease("cuStreamDestroy", [&](Device &device) -> CUresult {
    Stream &stream = streamOf(device, handle);
    (void)drain(device, stream);
    std::erase_if(device.streams, [&](const auto &each) { return each.get() == &stream; });
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuStreamSynchronize(CUstream handle) {
  return call("cuStreamSynchronize", true, [&](Device &device) {
    Stream &stream = streamOf(device, handle);
    if (stream.recording)
      return refuseWhileRecording(stream, "cuStreamSynchronize");
    return handle ? drain(device, stream) : drainDefault(device);
  });
}

STANDIN_EXPORT CUresult cuEventCreate(CUevent *event, unsigned) {
  return call("cuEventCreate", true, [&](Device &) {
    *event = reinterpret_cast<CUevent>(new Event);
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuEventDestroy_v2(CUevent event) {
  return call("cuEventDestroy", false, [&](Device &) {
    delete &eventOf(event);
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuEventRecord(CUevent event, CUstream stream) {
  return call("cuEventRecord", true, [&](Device &device) {
    eventOf(event).done = false;
    return enqueue(device, stream, {Operation::Kind::Event, nullptr, [event](Device &) {
                                      eventOf(event) = {true, now()};
                                      return CUDA_SUCCESS;
                                    }});
  });
}

STANDIN_EXPORT CUresult cuEventElapsedTime(float *milliseconds, CUevent start, CUevent end) {
  return call("cuEventElapsedTime", true, [&](Device &) -> CUresult {
    if (!eventOf(start).done || !eventOf(end).done)
      return CUDA_ERROR_NOT_READY;
    *milliseconds = float(eventOf(end).milliseconds - eventOf(start).milliseconds);
    return CUDA_SUCCESS;
  });
}

//===----------------------------------------------------------------------===//
// Graphs
//===----------------------------------------------------------------------===//

STANDIN_EXPORT CUresult cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode) {
  return call("cuStreamBeginCapture", true, [&](Device &device) -> CUresult {
    Stream &stream = streamOf(device, handle);
    if (!handle || stream.recording)
      return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    stream.recording = true;
    stream.spoilt = false;
    stream.recorded = {};
    ++recordings();
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuStreamEndCapture(CUstream handle, CUgraph *graph) {
  return call("cuStreamEndCapture", true, [&](Device &device) -> CUresult {
    Stream &stream = streamOf(device, handle);
    *graph = nullptr;
    if (!stream.recording)
      return CUDA_ERROR_INVALID_VALUE;
    stream.recording = false;
    --recordings();
    if (stream.spoilt)
      return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    *graph = reinterpret_cast<CUgraph>(new Graph(std::move(stream.recorded)));
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long) {
  return call("cuGraphInstantiateWithFlags", true, [&](Device &) {
    *exec = reinterpret_cast<CUgraphExec>(new Graph(*reinterpret_cast<Graph *>(graph)));
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuGraphExecUpdate_v2(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo *info) {
  return call("cuGraphExecUpdate", true, [&](Device &) -> CUresult {
    auto &before = *reinterpret_cast<Graph *>(exec), &after = *reinterpret_cast<Graph *>(graph);
    bool same = std::equal(before.operations.begin(), before.operations.end(), after.operations.begin(), after.operations.end(),
                           [](const Operation &a, const Operation &b) { return a.kind == b.kind && a.function == b.function; });
    *info = {};
    if (!same) {
      info->result = 1;
      return CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE;
    }
    before = after;
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  return call("cuGraphLaunch", true, [&](Device &device) -> CUresult {
    ++device.graphLaunchCount;
    for (const Operation &operation : reinterpret_cast<Graph *>(exec)->operations)
      if (CUresult result = enqueue(device, stream, operation))
        return result;
    return CUDA_SUCCESS;
  });
}

STANDIN_EXPORT CUresult cuGraphDestroy(CUgraph graph) {
  delete reinterpret_cast<Graph *>(graph);
  return CUDA_SUCCESS;
}

STANDIN_EXPORT CUresult cuGraphExecDestroy(CUgraphExec exec) {
  delete reinterpret_cast<Graph *>(exec);
  return CUDA_SUCCESS;
}
