// SPDX-License-Identifier: Apache-2.0
//
// A bar on stderr for work that takes long. Shows nothing when stderr is not a terminal or the work is done within a second.

#ifndef MSA_TOOLS_RUN_PROGRESS_BAR_H
#define MSA_TOOLS_RUN_PROGRESS_BAR_H

#include <chrono>
#include <cstdint>
#include <string>

namespace msa::tool {

class ProgressBar {
public:
  explicit ProgressBar(std::string label);
  ~ProgressBar(); // wipes the bar
  /// |done| of |total| steps are finished.
  void update(uint64_t done, uint64_t total);

private:
  using Clock = std::chrono::steady_clock;
  std::string label;
  bool enabled;
  bool shown = false;
  Clock::time_point start, last;
};

} // namespace msa::tool

#endif // MSA_TOOLS_RUN_PROGRESS_BAR_H
