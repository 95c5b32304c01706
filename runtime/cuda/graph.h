// SPDX-License-Identifier: Apache-2.0
//
// The commands of an entry as a CUDA graph. A run is recorded instead of enqueued, what was recorded updates the graph of the run
// before it (addresses, grids and scalars differ from step to step, the commands do not), and the graph is launched as a whole.

#ifndef MSA_RUNTIME_CUDA_GRAPH_H
#define MSA_RUNTIME_CUDA_GRAPH_H

#include "runtime/cuda/device.h"

namespace msa::rt::cuda {

struct EntryGraph {
  CUgraphExec exec;
  uint32_t plainRuns; // that succeeded without a graph, which is how memory comes to its size
  uint64_t updates;   // recorded runs that fitted the graph that there was
  uint64_t builds;    // those that needed a new one
};

/// Starts to record |stream|.
Status beginRecording(const Device &device, CUstream stream);
/// Ends recording and drops what was recorded.
void dropRecording(const Device &device, CUstream stream);
/// Ends recording and launches what was recorded.
Status launchRecording(const Device &device, CUstream stream, EntryGraph &graph);
void releaseGraph(const Device &device, EntryGraph &graph);

} // namespace msa::rt::cuda

#endif // MSA_RUNTIME_CUDA_GRAPH_H
