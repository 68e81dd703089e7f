#include "sim/lost_ends.h"

#include <algorithm>

namespace millrace::sim {
namespace {

/// Records that a partition loses at once, at most.
constexpr size_t kMostLost = 40;

}  // namespace

void LostEnds::LoseEnd(const StreamSpec& stream, PartitionId partition) {
  const auto records = cluster_->Outside(cluster_->log.ReadAll(stream.topic, partition)).value();
  if (records.empty()) return;
  fleet_->Note("a partition lost its end");
  const size_t lost = 1 + world_->Random(std::min(kMostLost, records.size()));
  Lose(stream, partition, records[records.size() - lost].offset);
}

void LostEnds::LoseAll(const StreamSpec& stream) {
  fleet_->Note("a topic lost everything");
  for (int32_t p = 0; p < stream.partitions; ++p) Lose(stream, PartitionId(p), Offset(0));
}

void LostEnds::Lose(const StreamSpec& stream, PartitionId partition, Offset end) {
  events_ += EventsIn(cluster_, stream, partition, end);
  const auto at = lowest_.try_emplace(partition, end).first;
  at->second = std::min(at->second, end);
  cluster_->log.LoseEnd(stream.topic, partition, end);
}

/// All that ever counted, in their order.
std::vector<LostEnds::SkipMade> LostEnds::Skips(const ShardId& shard) {
  std::vector<SkipMade> skips;
  SkipMade halted;
  for (const auto& [offset, record, verdict] : cluster_->ReadControlLog().records) {
    if (verdict != control::Verdict::kValid) continue;
    const auto* halt = std::get_if<control::Halt>(&record);
    if (halt != nullptr && halt->shard == shard) halted = {halt->from, {}, halt->pinned};
    const auto* skip = std::get_if<control::Skip>(&record);
    if (skip != nullptr && skip->shard == shard)
      skips.push_back({halted.from, skip->to, halted.pinned});
  }
  return skips;
}

bool LostEnds::GoesOnElsewhere(const ShardId& shard) {
  const std::vector<SkipMade> skips = Skips(shard);
  return std::any_of(skips.begin(), skips.end(), [](const SkipMade& s) { return s.pinned; });
}

bool LostEnds::GoesOnElsewhere(const Incarnation& view) {
  const control::Fold fold = cluster_->ReadControlLog().fold;
  return std::any_of(fold.shards().begin(), fold.shards().end(), [&](const auto& shard) {
    return shard.first.incarnation == view && GoesOnElsewhere(shard.first);
  });
}

LostEnds::Bounds LostEnds::Of(const Incarnation& view, const StreamSpec& stream) {
  Bounds bounds{events_, 0};
  // Else what the other skips left out is known from the folds, exactly.
  const bool elsewhere = GoesOnElsewhere(view);
  const control::Fold fold = cluster_->ReadControlLog().fold;
  for (const auto& [shard, state] : fold.shards()) {
    if (shard.incarnation != view) continue;
    for (const SkipMade& skip : Skips(shard)) {
      const auto events = [&, id = shard.partition](Offset from, Offset to) {
        return EventsIn(cluster_, stream, id, from, to);
      };
      if (!skip.pinned) {
        if (elsewhere) bounds.lacks += events(skip.from, skip.to);
        continue;
      }
      const auto lowest = lowest_.find(shard.partition);
      if (lowest != lowest_.end()) bounds.lacks += events(lowest->second, skip.to);
      bounds.twice += events(skip.to, skip.from);
    }
  }
  return bounds;
}

}  // namespace millrace::sim
