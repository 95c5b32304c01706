// SPDX-License-Identifier: Apache-2.0

#include "runtime/cuda/graph.h"

namespace msa::rt::cuda {

Status beginRecording(const Device &device, CUstream stream) {
  MSA_CUDA_TRY(device.driver, streamBeginCapture, stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
  return {};
}

void dropRecording(const Device &device, CUstream stream) {
  CUgraph recorded = nullptr;
  // An error here says that the recording was spoilt, which is why it is dropped.
  (void)device.driver.streamEndCapture(stream, &recorded);
  if (recorded)
    (void)device.driver.graphDestroy(recorded);
}

Status launchRecording(const Device &device, CUstream stream, EntryGraph &graph) {
  CUgraph recorded = nullptr;
  MSA_CUDA_TRY(device.driver, streamEndCapture, stream, &recorded);
  CUresult result = CUDA_SUCCESS;
  const char *call = "graphExecUpdate";
  CUgraphExecUpdateResultInfo info = {};
  if (graph.exec && device.driver.graphExecUpdate(graph.exec, recorded, &info) == CUDA_SUCCESS) {
    ++graph.updates;
  } else {
    releaseGraph(device, graph);
    call = "graphInstantiateWithFlags";
    result = device.driver.graphInstantiateWithFlags(&graph.exec, recorded, 0);
    ++graph.builds;
  }
  (void)device.driver.graphDestroy(recorded);
  if (result == CUDA_SUCCESS) {
    call = "graphLaunch";
    result = device.driver.graphLaunch(graph.exec, stream);
  } else {
    graph.exec = nullptr;
  }
  return device.driver.check(result, call);
}

void releaseGraph(const Device &device, EntryGraph &graph) {
  if (!graph.exec)
    return;
  (void)device.driver.graphExecDestroy(graph.exec);
  graph.exec = nullptr;
}

} // namespace msa::rt::cuda
