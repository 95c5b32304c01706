// SPDX-License-Identifier: Apache-2.0

#include "Shadow.h"
#include <bit>

namespace ptxemu {

static Conflict conflict(Conflict::Kind kind, ByteMask overlap, uint32_t cluster, uint32_t agent, uint32_t clock, uint32_t pc) {
  return {kind, lowestByte(overlap) / 4, cluster, agent, clock, pc};
}

/// Bytes that a lane of the warp wrote and another lane accesses although nothing synchronised the lanes in between.
static ByteMask otherLanes(const WriteSegment &segment, ByteMask overlap, const Accessor &who, const uint8_t *lanes) {
  if (!lanes || who.warp < 0 || !segment.ordinary || segment.strong || segment.cluster != who.cluster ||
      segment.agent != uint32_t(who.warp) || segment.clock < who.sync)
    return 0;
  ByteMask found = 0;
  for (uint32_t word = lowestByte(overlap) / 4; word < 32; ++word) {
    uint8_t writer = segment.lanes[word], lane = lanes[word];
    if ((overlap >> (4 * word) & 15) && writer != lane && writer < 32 && lane < 32)
      found |= overlap & ByteMask(15) << (4 * word);
  }
  return found;
}

Conflict recordRead(Line &line, ByteMask mask, const Accessor &who, const uint8_t *lanes, size_t mostReads) {
  // Writes would have cleared the words of an equal read: then nothing is new.
  for (const ReadSegment &read : line.reads)
    if (read.agent == who.agent && read.cluster == who.cluster && read.clock == who.clock && (read.mask & mask) == mask &&
        read.strong == who.strong)
      return {};
  Conflict result;
  for (const WriteSegment &write : line.writes) {
    ByteMask overlap = write.mask & mask;
    if (!overlap)
      continue;
    if (write.strong && who.strong)
      continue;
    if (!who.seen->knows(write.cluster, who.cluster, write.agent, write.clock))
      result = conflict(Conflict::Kind::ReadAfterWrite, overlap, write.cluster, write.agent, write.clock, write.pc);
    else if (ByteMask words = otherLanes(write, overlap, who, lanes))
      result = conflict(Conflict::Kind::Lanes, words, write.cluster, write.agent, write.clock, write.pc);
    else if (who.asynchronous && write.ordinary &&
             !who.seen->knows(write.cluster, who.cluster, who.warps + write.agent, write.clock))
      result = conflict(Conflict::Kind::Proxy, overlap, write.cluster, write.agent, write.clock, write.pc);
  }
  bool merged = false;
  for (size_t i = 0; i < line.reads.size();) {
    ReadSegment &read = line.reads[i];
    if (read.agent == who.agent && read.cluster == who.cluster && read.strong == who.strong) {
      if (read.clock == who.clock) {
        read.mask |= mask;
        merged = true;
      } else if (read.clock < who.clock) {
        read.mask &= ~mask;
      }
    }
    if (read.mask == 0) {
      read = line.reads.back();
      line.reads.pop_back();
    } else {
      ++i;
    }
  }
  if (!merged) {
    ReadSegment made{mask, who.cluster, who.agent, who.clock, who.pc, who.strong};
    if (line.reads.size() < mostReads)
      line.reads.push_back(made);
    else
      line.reads[(who.agent + who.cluster) % mostReads] = made;
  }
  return result;
}

Conflict recordWrite(Line &line, ByteMask mask, const Accessor &who, const uint8_t *lanes) {
  Conflict result;
  for (size_t i = 0; i < line.writes.size();) {
    WriteSegment &write = line.writes[i];
    ByteMask overlap = write.mask & mask;
    if (overlap) {
      bool bothStrong = write.strong && who.strong;
      if (!bothStrong && !who.seen->knows(write.cluster, who.cluster, write.agent, write.clock))
        result = conflict(Conflict::Kind::WriteAfterWrite, overlap, write.cluster, write.agent, write.clock, write.pc);
      else if (ByteMask words = bothStrong ? 0 : otherLanes(write, overlap, who, lanes))
        result = conflict(Conflict::Kind::Lanes, words, write.cluster, write.agent, write.clock, write.pc);
      else if (who.asynchronous && write.ordinary && !bothStrong &&
               !who.seen->knows(write.cluster, who.cluster, who.warps + write.agent, write.clock))
        result = conflict(Conflict::Kind::Proxy, overlap, write.cluster, write.agent, write.clock, write.pc);
      write.mask &= ~mask;
    }
    if (write.mask == 0) {
      write = line.writes.back();
      line.writes.pop_back();
    } else {
      ++i;
    }
  }
  for (size_t i = 0; i < line.reads.size();) {
    ReadSegment &read = line.reads[i];
    ByteMask overlap = read.mask & mask;
    if (overlap) {
      if (!(read.strong && who.strong) && !who.seen->knows(read.cluster, who.cluster, read.agent, read.clock))
        result = conflict(Conflict::Kind::WriteAfterRead, overlap, read.cluster, read.agent, read.clock, read.pc);
      read.mask &= ~mask;
    }
    if (read.mask == 0) {
      read = line.reads.back();
      line.reads.pop_back();
    } else {
      ++i;
    }
  }
  for (WriteSegment &write : line.writes)
    if (write.agent == who.agent && write.cluster == who.cluster && write.clock == who.clock && write.pc == who.pc &&
        write.ordinary == !who.asynchronous && write.strong == who.strong) {
      write.mask |= mask;
      if (lanes)
        for (uint32_t word = 0; word < 32; ++word)
          if (mask >> (4 * word) & 15)
            write.lanes[word] = write.lanes[word] == noLane || write.lanes[word] == lanes[word] ? lanes[word] : manyLanes;
      return result;
    }
  WriteSegment &made = line.writes.emplace_back();
  made.mask = mask;
  made.cluster = who.cluster;
  made.agent = who.agent;
  made.clock = who.clock;
  made.pc = who.pc;
  made.ordinary = !who.asynchronous;
  made.strong = who.strong;
  made.lanes.fill(noLane);
  if (lanes)
    for (uint32_t word = 0; word < 32; ++word)
      if (mask >> (4 * word) & 15)
        made.lanes[word] = lanes[word];
  return result;
}

void settleWrite(Line &line, ByteMask mask, uint32_t agent, const Accessor &who, uint8_t lane, bool ordinary) {
  for (size_t i = 0, n = line.writes.size(); i < n; ++i) {
    ByteMask overlap = line.writes[i].mask & mask;
    if (!overlap || line.writes[i].agent != agent || line.writes[i].clock != inFlight)
      continue;
    WriteSegment made = line.writes[i];
    made.mask = overlap;
    made.agent = who.agent;
    made.clock = who.clock;
    made.ordinary = ordinary;
    made.lanes.fill(lane);
    line.writes[i].mask &= ~overlap;
    line.writes.push_back(made);
  }
  std::erase_if(line.writes, [](const WriteSegment &write) { return write.mask == 0; });
}

} // namespace ptxemu
