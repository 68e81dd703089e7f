#include "backoff.h"
#include "millrace/base/log.h"
#include "millrace/runtime/shard_host.h"

namespace millrace::runtime {

/// A shard that halts says so in the control log, where it counts for whoever comes next.
Task<> ShardHost::RecordHalt(std::shared_ptr<Shard> shard, int64_t generation) {
  Backoff backoff(options_.retry_first, options_.retry_last);
  const ShardId id = shard->id();
  while (Current(id, generation)) {
    // Once for each place: a checkpoint of which only a file is gone brings the shard back to it.
    const auto ahead = co_await shard->CanOpenAhead();
    if (!Current(id, generation)) break;
    if (ahead.ok() && *ahead && slots_.at(id).opened_ahead_of != shard->place()) {
      slots_.at(id).opened_ahead_of = shard->place();
      shard->OpenAhead();
      co_return;
    }
    Status recorded;
    if (!ahead.ok()) {
      recorded = ahead.error();
    } else {
      recorded = co_await shard->RecordHalt();
    }
    if (recorded.ok() || recorded.error().code == Code::kFenced) break;
    if (Current(id, generation)) slots_.at(id).open_failure = recorded.error().message;
    open_failures_.Warn("the halt of a shard is not in the control log yet, it is tried again",
                        {{"shard", id.ToString()}, {"error", recorded.error().message}});
    co_await Delay(backoff.Next());
  }
  shard->EndHalting();
}

/// A fence refused the owner that the control log names: then the control log is the older one.
Task<> ShardHost::HaltIfOwner(std::shared_ptr<Shard> shard, int64_t generation) {
  const ShardId id = shard->id();
  Backoff backoff(options_.retry_first, options_.retry_last);
  auto state = co_await control_->ReadShard(id);
  while (!state.ok() && state.error().code != Code::kNotFound && Current(id, generation)) {
    co_await Delay(backoff.Next());
    state = co_await control_->ReadShard(id);
  }
  if (!state.ok() || state->epoch != shard->epoch()) co_return;
  shard->Halt(
      {"the serving store was written by a newer owner than the control log knows: the log "
       "is older than the store; restore the log that belongs to it, or begin again with "
       "an empty data directory",
       "epoch=" + std::to_string(shard->epoch().value), false, std::nullopt, false});
  // Its door is closed already, by an owner that the control log does not know.
  shard->EndHalting();
}

}  // namespace millrace::runtime
