#include "millrace/control/changes.h"

#include "millrace/control/control_reader.h"

namespace millrace::control {
namespace {

void AddShards(const Incarnation& view, size_t partitions, Changes* out) {
  out->views.insert(view);
  for (size_t p = 0; p < partitions; ++p)
    out->shards.insert({view, PartitionId(static_cast<int32_t>(p))});
}

struct Of {
  const Fold& before;
  Offset offset;
  Changes* out;

  void operator()(const Claim&) const { out->leader = true; }
  void operator()(const Beat& r) const { out->leader = r.lease == 0; }
  void operator()(const DefineStream& r) const {
    out->streams.insert({r.spec.name_space, r.spec.name, offset});
  }
  void operator()(const DropStream& r) const {
    out->streams.insert({r.name_space, r.name, r.generation});
  }
  void operator()(const Define& r) const {
    AddShards({r.spec.name_space, r.spec.name, offset}, r.start_offsets.size(), out);
  }
  void operator()(const Drop& r) const {
    const auto at = before.pipelines().find(r.incarnation);
    if (at != before.pipelines().end())
      AddShards(r.incarnation, at->second.start_offsets.size(), out);
  }
  void operator()(const Set& r) const { out->settings.insert(r.what); }
  void operator()(const Assign& r) const { out->shards.insert(r.shard); }
  void operator()(const Skip& r) const { out->shards.insert(r.shard); }
  void operator()(const Halt& r) const { out->shards.insert(r.shard); }
  void operator()(const Commit&) const {}
  void operator()(const Trim&) const {}
  void operator()(const Snapshot&) const {}
};

}  // namespace

bool Changes::empty() const {
  return !everything && !leader && streams.empty() && views.empty() && settings.empty() &&
         shards.empty();
}

void Changes::Add(const Changes& more) {
  everything |= more.everything;
  leader |= more.leader;
  streams.insert(more.streams.begin(), more.streams.end());
  views.insert(more.views.begin(), more.views.end());
  settings.insert(more.settings.begin(), more.settings.end());
  shards.insert(more.shards.begin(), more.shards.end());
  everything |= streams.size() + views.size() + settings.size() + shards.size() > kMostNames;
  if (everything) *this = Everything();
}

Changes ChangesOf(const Fold& before, Offset offset, const Record& record) {
  Changes changes;
  std::visit(Of{before, offset, &changes}, record);
  return changes;
}

ChangeFeed::ChangeFeed(ControlReader* reader)
    : feeds_(reader->feeds_), changes_(Changes::Everything()) {
  feeds_->insert(this);
}

ChangeFeed::~ChangeFeed() { feeds_->erase(this); }

void ChangeFeed::Add(const Changes& more) {
  if (more.empty()) return;
  changes_.Add(more);
  filled_.Notify();
}

}  // namespace millrace::control
