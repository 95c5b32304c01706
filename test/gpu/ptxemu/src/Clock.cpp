// SPDX-License-Identifier: Apache-2.0

#include "Clock.h"

namespace ptxemu {

static bool covers(const ClockVector &a, const ClockVector &b) {
  if (a.size() < b.size())
    return false;
  for (size_t i = 0; i < b.size(); ++i)
    if (a[i] < b[i])
      return false;
  return true;
}

std::shared_ptr<const Foreign> Knowledge::joined(const std::shared_ptr<const Foreign> &a, const std::shared_ptr<const Foreign> &b) {
  if (!b || a == b)
    return a;
  if (!a)
    return b;
  std::shared_ptr<Foreign> result;
  for (const auto &[cluster, vector] : *b) {
    const Foreign &base = result ? *result : *a;
    auto found = base.find(cluster);
    if (found != base.end() && (found->second == vector || covers(*found->second, *vector)))
      continue;
    if (!result)
      result = std::make_shared<Foreign>(*a);
    auto &place = (*result)[cluster];
    if (!place || covers(*vector, *place)) {
      place = vector;
    } else {
      auto merged = std::make_shared<ClockVector>(*place);
      joinInto(*merged, *vector);
      place = std::move(merged);
    }
  }
  return result ? result : a;
}

std::shared_ptr<const Foreign> Knowledge::published(uint32_t ownCluster) const {
  auto result = foreign ? std::make_shared<Foreign>(*foreign) : std::make_shared<Foreign>();
  (*result)[ownCluster] = std::make_shared<const ClockVector>(own);
  return result;
}

void Knowledge::acquire(const std::shared_ptr<const Foreign> &map, uint32_t ownCluster) {
  if (!map)
    return;
  auto mine = map->find(ownCluster);
  if (mine != map->end())
    joinInto(own, *mine->second);
  foreign = joined(foreign, map);
}

} // namespace ptxemu
