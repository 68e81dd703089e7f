#include "ledgers.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string>
#include <thread>

namespace millrace::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kLongestWait = std::chrono::seconds(10);
constexpr auto kPoll = std::chrono::milliseconds(20);

}  // namespace

void Ledgers::TellWhatDidNotCount(const Console& console) const {
  if (before_.empty()) return;
  const bool read = WaitUntilRead();
  const auto after = ReachedBy(*cluster_, stream_);
  if (!after.ok())
    return console.Note("how many events were late is not known: " + after.error().message);
  for (const PipelineDescription& now : *after) {
    const auto then =
        std::find_if(before_.begin(), before_.end(), [&](const PipelineDescription& p) {
          return p.name == now.name && p.defined_at == now.defined_at;
        });
    if (then == before_.end()) continue;
    const int64_t late = now.late - then->late;
    const int64_t quarantined = now.quarantined - then->quarantined;
    if (late <= 0 && quarantined <= 0) continue;
    const std::string name = now.name.ToString();
    std::string see = late > 0 ? "`millrace late " + name + "`" : "";
    if (quarantined > 0) see += (see.empty() ? "" : ", ") + ("`millrace quarantine " + name + "`");
    console.Note(
        "warning: not all events since this run began count, those of other producers "
        "included; see " +
        see + (read ? "" : "; more may follow, not all is read yet") + " pipeline=" + name +
        " late=" + std::to_string(late) + " quarantined=" + std::to_string(quarantined));
  }
}

/// False: not in time, or nobody can tell.
bool Ledgers::WaitUntilRead() const {
  const auto stream = cluster_->DescribeStream(stream_);
  if (!stream.ok()) return false;
  for (const Clock::time_point end = Clock::now() + kLongestWait;;) {
    const auto shards = cluster_->ListShards();
    if (!shards.ok()) return false;
    if (std::all_of(shards->begin(), shards->end(), [&](const ShardDescription& shard) {
          return HasRead(shard, stream->end_offsets);
        }))
      return true;
    if (Clock::now() >= end) return false;
    std::this_thread::sleep_for(kPoll);
  }
}

/// `ends`: of the stream's partitions. A shard of another stream has nothing to read of this one.
bool Ledgers::HasRead(const ShardDescription& shard, const std::vector<int64_t>& ends) const {
  for (const PipelineDescription& p : before_) {
    const std::string pipeline =
        p.name.name_space + "/" + p.name.name + "@" + std::to_string(p.defined_at) + "/p";
    if (!shard.shard.starts_with(pipeline)) continue;
    if (shard.state == "halted") return true;  // there is nothing to wait for
    const std::string_view number = std::string_view(shard.shard).substr(pipeline.size());
    size_t partition = ends.size();
    std::from_chars(number.data(), number.data() + number.size(), partition);
    return partition >= ends.size() || shard.next_offset >= ends[partition];
  }
  return true;
}

}  // namespace millrace::cli
