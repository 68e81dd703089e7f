#include "support/fold/restart.h"

#include "millrace/base/check.h"

namespace millrace::fold {

std::unique_ptr<window::ShardFold> Restarter::Restart(std::unique_ptr<window::ShardFold> fold,
                                                      const window::FoldSpec& spec) {
  const window::StateChange change = fold->Freeze(false).Changes(&hash_);
  for (const auto& [begin, end] : change.delete_ranges) {
    stored_.erase(stored_.lower_bound(begin), stored_.lower_bound(end));
  }
  for (const auto& [key, value] : change.puts) stored_[key] = value;
  fold.reset();
  auto restored = std::make_unique<window::ShardFold>(spec);
  for (const auto& [key, value] : stored_) {
    const Status status = restored->Restore(key, value);
    MILLRACE_CHECK(status.ok(), status.ok() ? "" : status.error().message);
  }
  const window::StateHash hash = restored->FinishRestore();
  MILLRACE_CHECK(hash.total() == hash_.total(), "the restored state has another hash");
  hash_ = hash;
  return restored;
}

}  // namespace millrace::fold
