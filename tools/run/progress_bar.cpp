// SPDX-License-Identifier: Apache-2.0

#include "tools/run/progress_bar.h"

#include <cstdio>
#include <unistd.h>

namespace msa::tool {

ProgressBar::ProgressBar(std::string label)
    : label(std::move(label)), enabled(isatty(STDERR_FILENO)), start(Clock::now()), last(start) {}

ProgressBar::~ProgressBar() {
  if (shown)
    std::fputs("\r\033[K", stderr);
}

void ProgressBar::update(uint64_t done, uint64_t total) {
  if (!enabled || total == 0)
    return;
  Clock::time_point now = Clock::now();
  if (now - start < std::chrono::seconds(1) || now - last < std::chrono::milliseconds(100))
    return;
  last = now;
  shown = true;
  constexpr int kWidth = 30;
  int filled = int(kWidth * double(done) / double(total));
  double seconds = std::chrono::duration<double>(now - start).count();
  double left = done ? seconds * double(total - done) / double(done) : 0;
  std::fprintf(stderr, "\r%s [%.*s%*s] %3d%%  %.0f s left\033[K", label.c_str(), filled, "==============================",
               kWidth - filled, "", int(100 * double(done) / double(total)), left);
  std::fflush(stderr);
}

} // namespace msa::tool
