#include "support/fold/restart.h"

#include "millrace/base/check.h"
#include "millrace/objectstore/in_memory_object_store.h"
#include "millrace/objectstore_arrow/local_object_store.h"
#include "millrace/state/in_memory_state.h"
#include "millrace/state_rocksdb/rocks_state.h"

namespace millrace::fold {
namespace {

void Require(const Status& status) {
  MILLRACE_CHECK(status.ok(), status.ok() ? "" : status.error().message);
}

}  // namespace

Restarter::Restarter(bool disk) {
  if (disk) {
    objects_ = objectstore_arrow::LocalObjectStore::Open(directory_.Sub("objects")).value();
    states_ = std::make_unique<state_rocksdb::RocksStates>(directory_.Sub("state"));
  } else {
    objects_ = std::make_unique<InMemoryObjectStore>();
    states_ = std::make_unique<InMemoryStates>();
  }
}

std::unique_ptr<window::ShardFold> Restarter::Restart(std::unique_ptr<window::ShardFold> fold,
                                                      const window::FoldSpec& spec,
                                                      Offset next_offset) {
  return executor_.RunUntilDone(Cycle(std::move(fold), spec, next_offset));
}

Task<std::unique_ptr<window::ShardFold>> Restarter::Cycle(std::unique_ptr<window::ShardFold> fold,
                                                          window::FoldSpec spec,
                                                          Offset next_offset) {
  if (!state_) {
    auto opened = co_await states_->Open("shard");
    state_ = std::move(opened).value();
  }
  checkpoint::Manifest manifest;
  manifest.shard = {{"default", spec.pipeline.name, Offset(0)}, spec.partition};
  manifest.epoch = Epoch(1);
  manifest.cut = CutNumber(++cuts_);
  manifest.next_offset = next_offset;
  manifest.watermark = fold->watermark();
  manifest.ledger = fold->ledger();
  auto change =
      std::make_shared<checkpoint::Change>(checkpoint::Change{fold->Freeze(false), hash_});
  fold.reset();
  checkpoint::Checkpointer cut(objects_.get(), state_.get());
  checkpoint::Owed nothing;
  auto prepared =
      co_await cut.Prepare(std::move(manifest), std::move(change), std::move(nothing), kept_);
  const checkpoint::Prepared saved = std::move(prepared).value();
  const Status uploaded = co_await cut.Upload(saved);
  Require(uploaded);
  kept_.push_back(saved.manifest);
  if (kept_.size() > 3) {
    for (std::string& object :
         checkpoint::Unreferenced(kept_.front(), {kept_.begin() + 1, kept_.end()})) {
      const Status deleted = co_await objects_->Delete(std::move(object));
      Require(deleted);
    }
    kept_.erase(kept_.begin());
  }

  state_.reset();
  auto opened = co_await states_->Open("shard");
  state_ = std::move(opened).value();
  checkpoint::Checkpointer restore(objects_.get(), state_.get());
  auto loaded = co_await checkpoint::LoadManifest(objects_.get(), saved.object, saved.hash);
  const checkpoint::Manifest found = std::move(loaded).value();
  MILLRACE_CHECK(found.next_offset == next_offset, "the manifest says another offset");
  const Status state = co_await restore.LoadState(found);
  Require(state);
  auto restored = std::make_unique<window::ShardFold>(std::move(spec));
  auto hash = co_await checkpoint::RestoreFold(state_.get(), found, restored.get());
  hash_ = std::move(hash).value();
  co_return restored;
}

}  // namespace millrace::fold
