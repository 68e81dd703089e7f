#include "ledgers.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <thread>

#include "millrace/base/run_now.h"

namespace millrace::cli {

using operations::PipelineInfo;
using operations::ShardInfo;
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kLongestWait = std::chrono::seconds(10);
constexpr auto kPoll = std::chrono::milliseconds(20);

}  // namespace

Result<std::vector<PipelineInfo>> ReachedBy(operations::Operations& cluster,
                                            const QualifiedName& stream) {
  MILLRACE_ASSIGN(std::vector<PipelineInfo> pipelines, RunNow(cluster.ListPipelines()));
  std::erase_if(pipelines, [&](const PipelineInfo& p) {
    return p.incarnation.name_space != stream.name_space || p.stream != stream.name;
  });
  std::stable_sort(pipelines.begin(), pipelines.end(),
                   [](const PipelineInfo& a, const PipelineInfo& b) {
                     return a.read_watermark < b.read_watermark;
                   });
  return pipelines;
}

void Ledgers::TellWhatDidNotCount(const Console& console) const {
  if (before_.empty()) return;
  const bool read = WaitUntilRead();
  const auto after = ReachedBy(*cluster_, stream_);
  if (!after.ok())
    return console.Note("how many events were late is not known: " + after.error().message);
  for (const PipelineInfo& now : *after) {
    const auto then = std::find_if(before_.begin(), before_.end(), [&](const PipelineInfo& p) {
      return p.incarnation == now.incarnation;
    });
    if (then == before_.end()) continue;
    const int64_t late = now.late - then->late;
    const int64_t quarantined = now.quarantined - then->quarantined;
    if (late <= 0 && quarantined <= 0) continue;
    const std::string name = QualifiedName::Of(now.incarnation).ToString();
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
  const auto stream = RunNow(cluster_->DescribeStream(stream_.name_space, stream_.name));
  if (!stream.ok()) return false;
  for (const Clock::time_point end = Clock::now() + kLongestWait;;) {
    const auto shards = RunNow(cluster_->ListShards());
    if (!shards.ok()) return false;
    if (std::all_of(shards->begin(), shards->end(),
                    [&](const ShardInfo& shard) { return HasRead(shard, stream->partitions); }))
      return true;
    if (Clock::now() >= end) return false;
    std::this_thread::sleep_for(kPoll);
  }
}

/// A shard of another stream has nothing to read of this one.
bool Ledgers::HasRead(const ShardInfo& shard,
                      const std::vector<operations::PartitionInfo>& partitions) const {
  const bool reads = std::any_of(before_.begin(), before_.end(), [&](const PipelineInfo& p) {
    return p.incarnation == shard.shard.incarnation;
  });
  // One that does not read is not waited for.
  if (!reads || shard.state == "halted" || shard.state == "paused") return true;
  const auto partition = static_cast<size_t>(shard.shard.partition.value);
  return partition >= partitions.size() || shard.next_offset >= partitions[partition].end;
}

}  // namespace millrace::cli
