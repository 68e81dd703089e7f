#include "sim/mishaps.h"

#include <algorithm>

namespace millrace::sim {
namespace {

using std::chrono::seconds;

/// An operator waits so long for an answer.
constexpr auto kPatience = seconds(3);
/// And looks again after so long.
constexpr auto kLooks = seconds(2);
constexpr size_t kNewest = 12;

}  // namespace

/// Whoever leads answers, if it answers in time.
template <typename T, typename F>
std::optional<T> Mishaps::Ask(F&& ask) {
  Process* const leader = fleet_->Leader();
  if (leader == nullptr) return std::nullopt;
  return cluster_->On(&leader->executor(), ask(leader->coordinator()), kPatience);
}

void Mishaps::DamageRecord() {
  const StreamSpec stream = cluster_->StreamNow("s");
  const PartitionId partition(
      static_cast<int32_t>(world_->Random(static_cast<uint64_t>(stream.partitions))));
  // One at a time in a partition, so that it is known what a skip leaves out.
  if (damaged_.contains(partition) || lost_.lost(partition)) return;
  const auto records = cluster_->Outside(cluster_->log.ReadAll(stream.topic, partition)).value();
  if (records.empty()) return;
  const size_t newest = std::min(kNewest, records.size());
  const bool next = world_->Chance(0.5);
  const Offset offset = next ? Offset(records.back().offset.value + 1)
                             : records[records.size() - 1 - world_->Random(newest)].offset;
  fleet_->Note("a record cannot be read");
  damaged_[partition] = next;
  cluster_->damaged.Damage(stream.topic, partition, offset);
}

void Mishaps::LoseRecords(bool all) {
  const StreamSpec stream = cluster_->StreamNow("s");
  const PartitionId partition(
      static_cast<int32_t>(world_->Random(static_cast<uint64_t>(stream.partitions))));
  // Of a record that cannot be read it is known what a skip leaves out.
  if (all ? !damaged_.empty() : damaged_.contains(partition)) return;
  all ? lost_.LoseAll(stream) : lost_.LoseEnd(stream, partition);
}

void Mishaps::Drop(const std::string& view) {
  if (define_at_) return;
  const auto drop = [&](runtime::Coordinator& c) { return c.DropPipeline("default", view); };
  const auto dropped = Ask<Status>(drop);
  // It may have taken effect all the same.
  define_at_ = world_->now() + Executor::Duration(world_->Random(15 * kSecond));
  if (dropped && dropped->ok()) fleet_->Note("a view is dropped and defined again");
}

void Mishaps::Operate() {
  if (define_at_ && world_->now() >= *define_at_) {
    const auto apply = [&](runtime::Coordinator& c) { return c.Apply(sql_, false); };
    const auto applied = Ask<Result<operations::ApplyReport>>(apply);
    define_at_ = world_->now() + kLooks;
    if (applied && applied->ok()) define_at_.reset();
  }
  if ((damaged_.empty() && !lost_.any()) || world_->now() < look_at_) return;
  look_at_ = world_->now() + kLooks;
  halted_ = false;
  const Status looked = cluster_->Outside(cluster_->objects.Look());
  looked.Ignore("a log in memory gives what it has");
  // A copy: an answer takes time, and the log grows.
  const auto shards = cluster_->objects.fold().shards();
  for (const auto& [id, shard] : shards) {
    if (!shard.halt) continue;
    halted_ = true;
    Decide(id, *shard.halt);
  }
}

/// What was lost does not come back. A record is brought back, or left out.
void Mishaps::Decide(const ShardId& shard, const control::HaltState& halt) {
  if (lost_.lost(shard.partition)) {
    const size_t at = halt.message.find("--to ");
    if (at == halt.message.npos) return;
    const Offset advised(std::stoll(halt.message.substr(at + 5)));
    const auto go_on = [&](runtime::Coordinator& c) {
      return c.SkipShard(shard, advised, "the log lost its end");
    };
    const auto went_on = Ask<Result<operations::SkipReport>>(go_on);
    if (went_on && went_on->ok()) fleet_->Note("a shard goes on in a log that lost its end");
    return;
  }
  // Behind a pinned halt rows that are shown would be made once more under other numbers. And what
  // somebody read may be in a file already.
  if (halt.pinned || !damaged_.at(shard.partition) || world_->Chance(0.5)) {
    cluster_->damaged.Heal();
    const auto retry = [&](runtime::Coordinator& c) { return c.RetryShard(shard); };
    const auto retried = Ask<Status>(retry);
    if (retried && retried->ok()) fleet_->Note("a shard is tried again");
    return;
  }
  const auto skip = [&](runtime::Coordinator& c) {
    return c.SkipShard(shard, halt.lowest, "a record cannot be read");
  };
  const auto skipped = Ask<Result<operations::SkipReport>>(skip);
  if (skipped && skipped->ok()) fleet_->Note("a record is skipped");
}

void Mishaps::Heal() {
  cluster_->damaged.Heal();
  if (define_at_) define_at_ = world_->now();
}

}  // namespace millrace::sim
