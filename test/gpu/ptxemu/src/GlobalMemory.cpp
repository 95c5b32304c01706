// SPDX-License-Identifier: Apache-2.0
//
// Global memory during a launch.

#include "Machine.h"

namespace ptxemu {

LaunchRange *Grid::rangeOf(uint64_t address) {
  if (lastRange < ranges.size() && address >= ranges[lastRange].begin && address < ranges[lastRange].end)
    return &ranges[lastRange];
  auto after = std::upper_bound(ranges.begin(), ranges.end(), address, [](uint64_t a, const LaunchRange &range) { return a < range.begin; });
  if (after == ranges.begin() || address >= (after - 1)->end)
    return nullptr;
  lastRange = size_t(after - ranges.begin()) - 1;
  return &ranges[lastRange];
}

static std::string hex(uint64_t value) {
  static const char digits[] = "0123456789abcdef";
  std::string result;
  for (int shift = 60; shift >= 0; shift -= 4)
    if (value >> shift || shift == 0)
      result += digits[value >> shift & 15];
  return "0x" + result;
}

uint8_t *Grid::global(uint64_t address, uint64_t bytes, uint32_t alignment, bool isWrite, const Place &place, const char *what) {
  LaunchRange *range = rangeOf(address);
  if (range && bytes <= range->end - address && range->live && address % std::max(alignment, 1u) == 0 && !(isWrite && range->access == Access::Read))
    return range->host + (address - range->begin);
  std::string access = std::string(what) + " of " + std::to_string(bytes) + " bytes";
  if (!range || bytes > range->end - address) {
    // The nearest range below says by how much it was missed.
    auto after = std::upper_bound(ranges.begin(), ranges.end(), address, [](uint64_t a, const LaunchRange &r) { return a < r.begin; });
    std::string where = "; no memory is near";
    if (after != ranges.begin() && address - (after - 1)->begin < (after - 1)->end - (after - 1)->begin + (1u << 20))
      where = ", at byte " + std::to_string(address - (after - 1)->begin) + " of '" + *(after - 1)->label + "', which has " +
              std::to_string((after - 1)->end - (after - 1)->begin) + " bytes";
    else if (after != ranges.end() && after->begin - address < (1u << 20))
      where = ", " + std::to_string(after->begin - address) + " bytes before '" + *after->label + "'";
    report(ReportKind::OutOfBounds, place, access + " at global address " + hex(address) + where);
    return nullptr;
  }
  std::string where = " at byte " + std::to_string(address - range->begin) + " of '" + *range->label + "'";
  if (!range->live) {
    report(ReportKind::UseAfterFree, place, access + where + ", which has been freed");
    return nullptr;
  }
  if (alignment > 1 && address % alignment) {
    report(ReportKind::Misaligned, place, access + where + " (address " + hex(address) + ") needs an alignment of " + std::to_string(alignment));
    return nullptr;
  }
  report(ReportKind::ReadOnly, place, access + where + ", which may only be read");
  return nullptr;
}

void Grid::recordGlobal(uint64_t address, uint64_t bytes, bool isWrite, const Accessor &who, const Place &place) {
  if (!options.races || bytes == 0)
    return;
  LaunchRange *range = rangeOf(address);
  if (!range || range->access == Access::Read)
    return;
  if (!range->shadow)
    range->shadow = std::make_unique<GlobalShadow>(range->end - range->begin + lineBytes);
  uint64_t base = range->begin & ~uint64_t(lineBytes - 1);
  for (uint64_t at = address, end = address + bytes; at < end;) {
    uint64_t lineEnd = std::min(end, (at & ~uint64_t(lineBytes - 1)) + lineBytes);
    ByteMask mask = byteMask(uint32_t(at % lineBytes), uint32_t(at % lineBytes + (lineEnd - at)));
    Line &line = range->shadow->line((at & ~uint64_t(lineBytes - 1)) - base);
    Conflict conflict = isWrite ? recordWrite(line, mask, who, nullptr) : recordRead(line, mask, who, nullptr, 8);
    if (conflict.kind != Conflict::Kind::None)
      reportConflict(conflict, place, "global", (at & ~uint64_t(lineBytes - 1)) + conflict.word * 4, who);
    at = lineEnd;
  }
}

} // namespace ptxemu
