// SPDX-License-Identifier: Apache-2.0

#include "Machine.h"

namespace ptxemu {

std::string_view name(ReportKind kind) {
  switch (kind) {
  case ReportKind::Launch: return "launch";
  case ReportKind::OutOfBounds: return "out-of-bounds";
  case ReportKind::UseAfterFree: return "use-after-free";
  case ReportKind::ReadOnly: return "read-only";
  case ReportKind::Misaligned: return "misaligned";
  case ReportKind::Uninitialized: return "uninitialized";
  case ReportKind::Race: return "race";
  case ReportKind::IntraWarpRace: return "intra-warp-race";
  case ReportKind::Proxy: return "proxy";
  case ReportKind::Barrier: return "barrier";
  case ReportKind::Mbarrier: return "mbarrier";
  case ReportKind::Wgmma: return "wgmma";
  case ReportKind::Copy: return "copy";
  case ReportKind::Exit: return "exit";
  case ReportKind::Lanes: return "lanes";
  case ReportKind::Deadlock: return "deadlock";
  case ReportKind::Trap: return "trap";
  case ReportKind::InstructionLimit: return "instruction-limit";
  }
  return "?";
}

std::string Report::text() const {
  std::string result(name(kind));
  result += ": " + message;
  if (line > 0)
    result += "; line " + std::to_string(line) + " `" + source + "`";
  if (warp >= 0) {
    result += "; CTA " + std::to_string(cta.x) + "," + std::to_string(cta.y) + "," + std::to_string(cta.z) + " warp " + std::to_string(warp);
    if (lane >= 0)
      result += " lane " + std::to_string(lane);
  }
  if (otherLine > 0)
    result += "; other access: line " + std::to_string(otherLine) + " `" + otherSource + "`";
  return result;
}

std::string Result::text() const {
  std::string result;
  for (const Report &report : errors)
    result += "error: " + report.text() + "\n";
  for (const Report &report : warnings)
    result += "warning: " + report.text() + "\n";
  return result;
}

void Grid::report(ReportKind kind, const Place &place, const std::string &message, bool isWarning) {
  // One place is reported once: loops would repeat it thousands of times.
  std::string key = std::to_string(int(kind)) + "," + std::to_string(place.pc) + "," + std::to_string(place.otherPc);
  if (place.pc < 0)
    key += message;
  if (!reported.insert(key).second)
    return;
  std::vector<Report> &into = isWarning ? result.warnings : result.errors;
  if (into.size() >= options.maximumReports)
    return;
  Report made;
  made.kind = kind;
  made.message = message;
  auto describe = [&](int64_t pc, int &line, std::string &source) {
    if (pc < 0 || pc >= int64_t(code.infos.size()))
      return;
    line = code.infos[size_t(pc)].line;
    source = code.infos[size_t(pc)].source;
  };
  describe(place.pc, made.line, made.source);
  describe(place.otherPc, made.otherLine, made.otherSource);
  if (place.cta)
    made.cta = place.cta->id;
  made.warp = place.warp;
  made.lane = place.lane;
  into.push_back(std::move(made));
}

std::string Grid::agentName(uint32_t cluster, uint32_t agent, uint32_t) const {
  auto warpName = [&](uint32_t warp) {
    std::string text = "warp " + std::to_string(warp % warpsPerCta);
    if (ctasPerCluster > 1)
      text += " of CTA " + std::to_string(warp / warpsPerCta) + " of its cluster";
    return clusterCount > 1 ? text + " of cluster " + std::to_string(cluster) : text;
  };
  if (agent >= laneCopyAgents)
    return "cp.async of " + warpName(agent - laneCopyAgents);
  if (agent < warpsPerCluster)
    return warpName(agent);
  if (agent < 4 * warpsPerCluster)
    return "a bulk store of " + warpName(agent % warpsPerCluster);
  if (agent < firstMbarrierAgent()) {
    uint32_t group = agent - 4 * warpsPerCluster;
    return "wgmma of the warpgroup of " + warpName(group / groupsPerCta * warpsPerCta + group % groupsPerCta * 4);
  }
  uint32_t index = agent - firstMbarrierAgent();
  for (const auto &owner : resident)
    if (owner->index == cluster && index < owner->mbarriers.size())
      return "a bulk copy that signals the mbarrier at shared offset " + std::to_string(owner->mbarriers[index].offset);
  return "a bulk copy";
}

void Grid::reportConflict(const Conflict &conflict, const Place &place, const char *space, uint64_t address, const Accessor &who) {
  Place full = place;
  full.pc = who.pc;
  full.otherPc = conflict.pc;
  std::string where;
  if (std::string_view(space) == "global") {
    LaunchRange *range = rangeOf(address);
    where = range ? "byte " + std::to_string(address - range->begin) + " of '" + *range->label + "'" : "global memory";
  } else {
    where = "shared offset " + std::to_string(address);
  }
  std::string other = agentName(conflict.cluster, conflict.agent, conflict.clock);
  const char *subject = who.asynchronous ? "asynchronous " : "";
  switch (conflict.kind) {
  case Conflict::Kind::WriteAfterWrite:
    report(ReportKind::Race, full,
           std::string(subject) + "write to " + where +
               (conflict.clock == inFlight ? " while it is being written by " : " is not ordered after the write by ") + other);
    break;
  case Conflict::Kind::WriteAfterRead:
    report(ReportKind::Race, full, std::string(subject) + "write to " + where + " while it may still be read by " + other);
    break;
  case Conflict::Kind::ReadAfterWrite:
    report(ReportKind::Race, full,
           std::string(subject) + "read of " + where +
               (conflict.clock == inFlight ? " while it is being written by " : " is not ordered after the write by ") + other);
    break;
  case Conflict::Kind::Lanes:
    report(ReportKind::IntraWarpRace, full, "access to " + where + ", which another lane wrote, without bar.warp.sync in between");
    break;
  case Conflict::Kind::Proxy:
    report(ReportKind::Proxy, full, "asynchronous access to " + where + " after ordinary stores by " + other + " without fence.proxy.async");
    break;
  case Conflict::Kind::None:
    break;
  }
}

} // namespace ptxemu
