#include "millrace/control/retention.h"

#include <charconv>
#include <limits>

#include "millrace/base/planted.h"

namespace millrace::control {
namespace {

/// The lowest place of a way that begins at `place` and was taken under `epoch`.
Offset LowestOf(const ShardState& shard, Offset place, Epoch epoch) {
  for (const SkipState& skip : shard.SkipsAfter(epoch))
    place = std::min(place, Planted("floor_by_from") ? skip.from : std::min(skip.from, skip.to));
  return place;
}

std::optional<int64_t> LimitOf(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value <= 0) return std::nullopt;
  return value;
}

}  // namespace

Offset RetentionFloor(const Fold& fold, const StreamSpec& stream, PartitionId partition) {
  Offset floor(std::numeric_limits<int64_t>::max());
  for (const auto& [incarnation, view] : fold.pipelines()) {
    if (incarnation.name_space != stream.name_space || view.spec.stream != stream.name) continue;
    const ShardState& shard = fold.shards().at({incarnation, partition});
    for (const CommitState& commit : shard.commits)
      floor = std::min(floor, LowestOf(shard, commit.next_offset, commit.epoch));
    if (shard.commits.size() < kKeptCommits && !shard.start_gone) {
      const Offset start = view.start_offsets.at(static_cast<size_t>(partition.value));
      floor = std::min(floor, LowestOf(shard, start, Epoch(0)));
    }
  }
  return floor;
}

bool IsKeepSetting(std::string_view key, std::string_view value) {
  return (key == kKeepFor || key == kKeepBytes) && (value.empty() || LimitOf(value));
}

Keep KeepOf(const Fold& fold, const Incarnation& stream) {
  Keep keep;
  for (const auto& [key, value] : fold.SettingsOf(stream)) {
    if (key == kKeepFor) keep.time = LimitOf(value);
    if (key == kKeepBytes) keep.bytes = LimitOf(value);
  }
  return keep;
}

}  // namespace millrace::control
