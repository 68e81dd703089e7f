#include "millrace/control/fold.h"

#include <iterator>
#include <set>

#include "millrace/base/check.h"
#include "millrace/base/planted.h"
#include "millrace/control/retention.h"
#include "millrace/control/settings.h"
#include "millrace/sql/plan_codec.h"

namespace millrace::control {

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kValid:
      return "valid";
    case Verdict::kNotLeader:
      return "not_leader";
    case Verdict::kLate:
      return "late";
    case Verdict::kStale:
      return "stale";
    case Verdict::kUnknown:
      return "unknown";
    case Verdict::kConflict:
      return "conflict";
    case Verdict::kUnreadable:
      return "unreadable";
  }
  return "unknown";
}

Verdict Fold::Apply(Offset offset, Micros append_time, const Record& record) {
  MILLRACE_CHECK(offset >= next_offset_, "control records are applied in order");
  next_offset_ = Offset(offset.value + 1);
  return std::visit(
      [&](const auto& r) {
        Verdict verdict = Verdict::kValid;
        if constexpr (requires { r.by; }) verdict = Admit(r.by);
        if (verdict == Verdict::kValid) verdict = Check(r);
        if (verdict == Verdict::kValid) Take(offset, append_time, r);
        return verdict;
      },
      record);
}

std::vector<SkipState> ShardState::SkipsAfter(Epoch checkpoint) const {
  std::vector<SkipState> out;
  std::copy_if(skips.begin(), skips.end(), std::back_inserter(out),
               [&](const SkipState& s) { return s.epoch > checkpoint; });
  return out;
}

void Fold::ApplyUnreadable(Offset offset) {
  MILLRACE_CHECK(offset >= next_offset_, "control records are applied in order");
  next_offset_ = Offset(offset.value + 1);
}

const StreamSpec* Fold::FindStream(const std::string& name_space, const std::string& name) const {
  const auto at = streams_.find({name_space, name});
  return at == streams_.end() ? nullptr : &at->second;
}

const StreamSpec* Fold::FindStream(const Incarnation& stream) const {
  const StreamSpec* there = FindStream(stream.name_space, stream.name);
  return there != nullptr && there->generation == stream.defined_at ? there : nullptr;
}

const std::map<std::string, std::string>& Fold::SettingsOf(const Incarnation& what) const {
  static const std::map<std::string, std::string> none;
  const auto at = settings_.find(what);
  return at == settings_.end() ? none : at->second;
}

Offset Fold::TrimOf(Offset generation, PartitionId partition) const {
  const auto at = trims_.find(generation);
  return at == trims_.end() ? Offset(0) : at->second.at(static_cast<size_t>(partition.value));
}

const StreamSpec* Fold::StreamOfTopic(const std::string& topic) const {
  const auto at = std::find_if(streams_.begin(), streams_.end(),
                               [&](const auto& stream) { return stream.second.topic == topic; });
  return at == streams_.end() ? nullptr : &at->second;
}

std::vector<std::string> Fold::ReadersOf(const std::string& name_space,
                                         const std::string& stream) const {
  std::vector<std::string> names;
  for (const auto& [name, incarnation] : names_) {
    if (name.first == name_space && pipelines_.at(incarnation).spec.stream == stream)
      names.push_back(name.second);
  }
  return names;
}

const Incarnation* Fold::Current(const std::string& name_space, const std::string& name) const {
  const auto at = names_.find({name_space, name});
  return at == names_.end() ? nullptr : &at->second;
}

Verdict Fold::Admit(const Stamp& by) {
  if (by.n != leader_.n) return Verdict::kNotLeader;
  if (by.k <= leader_.k && !Planted("no_k")) return Verdict::kLate;
  leader_.k = by.k;
  return Verdict::kValid;
}

Verdict Fold::Check(const Claim& r) const {
  if (r.n != leader_.n + 1) return Verdict::kStale;
  return r.cluster.empty() || (!cluster_.empty() && r.cluster != cluster_) ? Verdict::kConflict
                                                                           : Verdict::kValid;
}

Verdict Fold::Check(const Beat&) const { return Verdict::kValid; }

Verdict Fold::Check(const DefineStream& r) const {
  // Nothing in a record of a topic says which of two streams it belongs to.
  if (StreamOfTopic(r.spec.topic) != nullptr) return Verdict::kConflict;
  const std::pair name(r.spec.name_space, r.spec.name);
  return streams_.contains(name) || names_.contains(name) ? Verdict::kConflict : Verdict::kValid;
}

Verdict Fold::Check(const Define& r) const {
  const StreamSpec* stream = FindStream(r.spec.name_space, r.spec.stream);
  if (stream == nullptr || stream->generation != r.stream_generation ||
      r.start_offsets.size() != static_cast<size_t>(stream->partitions))
    return Verdict::kUnknown;
  for (size_t p = 0; p < r.start_offsets.size(); ++p) {
    const PartitionId partition(static_cast<int32_t>(p));
    if (r.start_offsets[p] < TrimOf(stream->generation, partition) && !Planted("define_below_trim"))
      return Verdict::kConflict;
  }
  // A shard finds the columns of its stream by the numbers in this plan.
  if (!CheckPipeline(r.spec, *stream).ok()) return Verdict::kUnreadable;
  const std::pair name(r.spec.name_space, r.spec.name);
  return streams_.contains(name) || names_.contains(name) ? Verdict::kConflict : Verdict::kValid;
}

Verdict Fold::Check(const Drop& r) const {
  return pipelines_.contains(r.incarnation) ? Verdict::kValid : Verdict::kUnknown;
}

Verdict Fold::Check(const DropStream& r) const {
  const StreamSpec* stream = FindStream(r.name_space, r.name);
  if (stream == nullptr || stream->generation != r.generation) return Verdict::kUnknown;
  return ReadersOf(r.name_space, r.name).empty() ? Verdict::kValid : Verdict::kConflict;
}

Verdict Fold::CheckOwner(const ShardId& shard, Epoch epoch) const {
  const auto at = shards_.find(shard);
  if (at == shards_.end()) return Verdict::kUnknown;
  return epoch.value == at->second.epoch.value + 1 ? Verdict::kValid : Verdict::kStale;
}

Verdict Fold::Check(const Assign& r) const { return CheckOwner(r.shard, r.epoch); }

Verdict Fold::Check(const Skip& r) const {
  const Verdict verdict = CheckOwner(r.shard, r.epoch);
  if (verdict != Verdict::kValid &&
      !(verdict == Verdict::kStale && Planted("skip_of_another_epoch")))
    return verdict;
  const std::optional<HaltState>& halt = shards_.at(r.shard).halt;
  if (!halt || r.to < halt->lowest) return Verdict::kConflict;
  const Incarnation& view = r.shard.incarnation;
  const StreamSpec* stream = FindStream(view.name_space, pipelines_.at(view).spec.stream);
  return r.to < TrimOf(stream->generation, r.shard.partition) ? Verdict::kConflict
                                                              : Verdict::kValid;
}

/// Where the kept commit `base` ends. For base 0 it is the shard's start.
std::optional<Offset> Fold::EndOf(const ShardId& shard, CutNumber base) const {
  if (base == CutNumber(0)) {
    const auto partition = static_cast<size_t>(shard.partition.value);
    return pipelines_.at(shard.incarnation).start_offsets.at(partition);
  }
  for (const CommitState& commit : shards_.at(shard).commits)
    if (commit.cut == base) return commit.next_offset;
  return std::nullopt;
}

Verdict Fold::Check(const Halt& r) const {
  const auto at = shards_.find(r.shard);
  if (at == shards_.end()) return Verdict::kUnknown;
  if (r.epoch != at->second.epoch || at->second.halt) return Verdict::kStale;
  const bool placed =
      r.pinned ? EndOf(r.shard, r.base) == r.from && r.lowest <= r.from : r.lowest > r.from;
  return placed && r.from >= Offset(0) && r.lowest >= Offset(0) &&
                 r.first_seqs.size() == kOutputs + 1
             ? Verdict::kValid
             : Verdict::kConflict;
}

Verdict Fold::Check(const Set& r) const {
  const bool is_view = pipelines_.contains(r.what);
  const StreamSpec* const stream = FindStream(r.what);
  if (r.what != TheCluster() && !is_view && stream == nullptr) return Verdict::kUnknown;
  if (stream != nullptr) {
    const bool known =
        IsKeepSetting(r.key, r.value) || IsPinSetting(r.key, r.value, stream->partitions);
    return known ? Verdict::kValid : Verdict::kUnreadable;
  }
  // As it is written, so that equal settings are equal bytes.
  return SettingValue(is_view, r.key, r.value) == r.value ? Verdict::kValid : Verdict::kUnreadable;
}

Verdict Fold::Check(const Trim& r) const {
  const StreamSpec* stream = FindStream(r.stream);
  if (stream == nullptr || r.to.size() != static_cast<size_t>(stream->partitions))
    return Verdict::kUnknown;
  bool above = false;
  for (size_t p = 0; p < r.to.size(); ++p) {
    const PartitionId partition(static_cast<int32_t>(p));
    const Offset present = TrimOf(stream->generation, partition);
    const bool needed = r.to[p] > RetentionFloor(*this, *stream, partition);
    if (r.to[p] < present || (needed && !Planted("trim_without_floor"))) return Verdict::kConflict;
    above |= r.to[p] > present;
  }
  return above ? Verdict::kValid : Verdict::kConflict;
}

Verdict Fold::Check(const Commit& r) const {
  const auto at = shards_.find(r.shard);
  if (at == shards_.end()) return Verdict::kUnknown;
  const ShardState& shard = at->second;
  if (r.epoch != shard.epoch && !Planted("commit_without_epoch")) return Verdict::kStale;
  if (r.cut.value != shard.last_cut.value + 1 && !Planted("commit_without_cut_number"))
    return Verdict::kStale;
  return r.next_offset < shard.next_offset ? Verdict::kConflict : Verdict::kValid;
}

Verdict Fold::Check(const Snapshot&) const { return Verdict::kValid; }

void Fold::Take(Offset, Micros, const Claim& r) {
  cluster_ = r.cluster;
  leader_ = {r.n, 0, r.process, false};
}

void Fold::Take(Offset, Micros, const Beat& r) { leader_.left = r.lease == 0; }

void Fold::Take(Offset offset, Micros, const DefineStream& r) {
  StreamSpec& stream = streams_[{r.spec.name_space, r.spec.name}];
  stream = r.spec;
  stream.generation = offset;
}

void Fold::Take(Offset offset, Micros at, const Define& r) {
  const Incarnation incarnation{r.spec.name_space, r.spec.name, offset};
  PipelineState& pipeline = pipelines_[incarnation];
  pipeline.spec = r.spec;
  pipeline.start_offsets = r.start_offsets;
  pipeline.defined_at = at;
  if (r.spec.start == StartKind::kLatest) pipeline.not_before = at;
  if (r.spec.start == StartKind::kTime) pipeline.not_before = r.spec.start_time;
  names_[{r.spec.name_space, r.spec.name}] = incarnation;
  for (size_t p = 0; p < r.start_offsets.size(); ++p) {
    shards_[{incarnation, PartitionId(static_cast<int32_t>(p))}].next_offset = r.start_offsets[p];
  }
}

void Fold::Take(Offset, Micros, const Drop& r) {
  pipelines_.erase(r.incarnation);
  names_.erase({r.incarnation.name_space, r.incarnation.name});
  settings_.erase(r.incarnation);
  std::erase_if(shards_,
                [&](const auto& shard) { return shard.first.incarnation == r.incarnation; });
}

void Fold::Take(Offset, Micros, const DropStream& r) {
  const auto at = streams_.find({r.name_space, r.name});
  const StreamSpec& stream = at->second;
  settings_.erase({r.name_space, r.name, r.generation});
  trims_.erase(r.generation);
  dropped_topics_[stream.generation] = {stream.topic, stream.partitions, r.topic_id};
  streams_.erase(at);
}

void Fold::Take(Offset, Micros, const Assign& r) {
  ShardState& shard = shards_[r.shard];
  shard.epoch = r.epoch;
  shard.worker = r.worker;
  shard.halt.reset();
}

void Fold::Take(Offset, Micros, const Halt& r) {
  shards_[r.shard].halt =
      HaltState{r.from, r.lowest, r.first_seqs, r.before, r.message, r.pinned, r.base};
}

void Fold::Take(Offset, Micros, const Skip& r) {
  ShardState& shard = shards_[r.shard];
  shard.epoch = r.epoch;
  shard.worker = r.worker;
  // Commits that follow count from the place it goes on at, which lies lower if the log lost its
  // end.
  shard.next_offset = r.to;
  HaltState halt = *std::exchange(shard.halt, std::nullopt);
  SkipState skip{r.epoch,     halt.from,   r.to,    std::move(halt.first_seqs),
                 halt.before, halt.pinned, r.reason};
  if (halt.pinned && !Planted("skip_without_pinning")) {
    // Every later owner goes on from the base. Which checkpoint it has must not decide what counts.
    std::erase_if(shard.commits, [&](const CommitState& c) { return c.cut != halt.base; });
    shard.start_gone = halt.base != CutNumber(0);
    shard.skips = {std::move(skip)};
    return;
  }
  const auto place = std::find_if(shard.skips.begin(), shard.skips.end(), [&](const SkipState& s) {
    return !s.pinned && s.from > skip.from;
  });
  // The owner halted at `from`, so it could not use a checkpoint that leads past it. Nor may a
  // later owner: it would fold what lies between twice, or number its rows as if it had not halted.
  if (!Planted("skip_without_voiding")) {
    std::erase_if(shard.commits, [&](const CommitState& c) {
      Offset here = c.next_offset;
      for (auto s = shard.skips.begin(); s != place; ++s)
        if (s->epoch > c.epoch) here = s->GoesOn(here);
      return here > skip.from;
    });
  }
  shard.skips.insert(place, std::move(skip));
}

void Fold::Take(Offset, Micros, const Set& r) {
  auto& settings = settings_[r.what];
  settings[r.key] = r.value;
  if (r.value.empty()) settings.erase(r.key);
  if (settings.empty()) settings_.erase(r.what);
}

void Fold::Take(Offset, Micros, const Trim& r) { trims_[r.stream.defined_at] = r.to; }

void Fold::Take(Offset, Micros, const Commit& r) {
  ShardState& shard = shards_[r.shard];
  shard.last_cut = r.cut;
  shard.next_offset = r.next_offset;
  shard.commits.push_back(
      {r.epoch, r.cut, r.next_offset, r.manifest, r.manifest_hash, r.state_hash});
  if (shard.commits.size() > kKeptCommits) shard.commits.pop_front();
}

void Fold::Take(Offset, Micros, const Snapshot&) {}

}  // namespace millrace::control
