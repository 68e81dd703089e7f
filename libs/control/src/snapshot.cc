#include "millrace/control/snapshot.h"

#include "millrace/base/bytes.h"
#include "millrace/base/check.h"
#include "millrace/sql/plan_codec.h"

namespace millrace::control {
namespace {

constexpr uint8_t kVersion = 7;
using Names = std::pair<std::string, std::string>;

void Put(ByteWriter* w, const Incarnation& i) {
  w->Text(i.name_space);
  w->Text(i.name);
  w->Fixed(i.defined_at.value);
}

void Put(ByteWriter* w, const Process& process) {
  w->Text(process.name);
  w->Fixed(process.instance);
}

Process GetProcess(ByteReader* r) {
  Process process;
  process.name = r->Text();
  process.instance = r->Fixed<uint64_t>();
  return process;
}

Incarnation GetIncarnation(ByteReader* r) {
  Incarnation i;
  i.name_space = r->Text();
  i.name = r->Text();
  i.defined_at = Offset(r->Fixed<int64_t>());
  return i;
}

void Put(ByteWriter* w, const std::vector<Offset>& offsets) {
  w->Varint(offsets.size());
  for (const Offset o : offsets) w->Fixed(o.value);
}

void Put(ByteWriter* w, const std::vector<int64_t>& numbers) {
  w->Varint(numbers.size());
  for (const int64_t n : numbers) w->Fixed(n);
}

std::vector<int64_t> GetNumbers(ByteReader* r) {
  std::vector<int64_t> numbers;
  for (uint64_t n = r->Varint(); n > 0 && r->ok(); --n) numbers.push_back(r->Fixed<int64_t>());
  return numbers;
}

bool GetFlag(ByteReader* r) { return r->Fixed<uint8_t>() != 0; }

void Put(ByteWriter* w, const std::optional<RecordIdentity>& record) {
  w->Fixed(record.has_value());
  if (!record) return;
  w->Fixed(record->offset.value);
  w->Fixed(record->hash);
}

std::optional<RecordIdentity> GetIdentity(ByteReader* r) {
  if (!GetFlag(r)) return std::nullopt;
  RecordIdentity record;
  record.offset = Offset(r->Fixed<int64_t>());
  record.hash = r->Fixed<uint64_t>();
  return record;
}

void Put(ByteWriter* w, const ShardState& s) {
  w->Fixed(s.epoch.value);
  Put(w, s.worker);
  w->Fixed(s.last_cut.value);
  w->Fixed(s.next_offset.value);
  w->Varint(s.commits.size());
  for (const CommitState& c : s.commits) {
    w->Fixed(c.epoch.value);
    w->Fixed(c.cut.value);
    w->Fixed(c.next_offset.value);
    w->Text(c.manifest);
    w->Fixed(c.manifest_hash);
    w->Fixed(c.state_hash);
  }
  w->Varint(s.skips.size());
  for (const SkipState& skip : s.skips) {
    w->Fixed(skip.epoch.value);
    w->Fixed(skip.from.value);
    w->Fixed(skip.to.value);
    Put(w, skip.first_seqs);
    Put(w, skip.before);
    w->Fixed(skip.pinned);
    w->Text(skip.reason);
  }
  w->Fixed(s.start_gone);
  w->Fixed(s.halt.has_value());
  if (!s.halt) return;
  w->Fixed(s.halt->from.value);
  w->Fixed(s.halt->lowest.value);
  Put(w, s.halt->first_seqs);
  Put(w, s.halt->before);
  w->Text(s.halt->message);
  w->Fixed(s.halt->pinned);
  w->Fixed(s.halt->base.value);
}

ShardState GetShard(ByteReader* r) {
  ShardState s;
  s.epoch = Epoch(r->Fixed<int64_t>());
  s.worker = GetProcess(r);
  s.last_cut = CutNumber(r->Fixed<int64_t>());
  s.next_offset = Offset(r->Fixed<int64_t>());
  for (uint64_t n = r->Varint(); n > 0 && r->ok(); --n) {
    CommitState c;
    c.epoch = Epoch(r->Fixed<int64_t>());
    c.cut = CutNumber(r->Fixed<int64_t>());
    c.next_offset = Offset(r->Fixed<int64_t>());
    c.manifest = r->Text();
    c.manifest_hash = r->Fixed<Hash128>();
    c.state_hash = r->Fixed<Hash128>();
    s.commits.push_back(std::move(c));
  }
  for (uint64_t n = r->Varint(); n > 0 && r->ok(); --n) {
    SkipState skip;
    skip.epoch = Epoch(r->Fixed<int64_t>());
    skip.from = Offset(r->Fixed<int64_t>());
    skip.to = Offset(r->Fixed<int64_t>());
    skip.first_seqs = GetNumbers(r);
    skip.before = GetIdentity(r);
    skip.pinned = GetFlag(r);
    skip.reason = r->Text();
    s.skips.push_back(std::move(skip));
  }
  s.start_gone = GetFlag(r);
  if (!GetFlag(r)) return s;
  HaltState& halt = s.halt.emplace();
  halt.from = Offset(r->Fixed<int64_t>());
  halt.lowest = Offset(r->Fixed<int64_t>());
  halt.first_seqs = GetNumbers(r);
  halt.before = GetIdentity(r);
  halt.message = r->Text();
  halt.pinned = GetFlag(r);
  halt.base = CutNumber(r->Fixed<int64_t>());
  return s;
}

}  // namespace

std::string Fold::Encode() const {
  std::string out;
  ByteWriter w(&out);
  w.Fixed(kVersion);
  w.Fixed(next_offset_.value);
  w.Text(cluster_);
  w.Fixed(leader_.n);
  w.Fixed(leader_.k);
  Put(&w, leader_.process);
  w.Fixed(leader_.left);
  w.Varint(streams_.size());
  for (const auto& [name, spec] : streams_) {
    w.Fixed(spec.generation.value);
    w.Text(EncodeStream(spec));
  }
  w.Varint(dropped_topics_.size());
  for (const auto& [generation, topic] : dropped_topics_) {
    w.Fixed(generation.value);
    w.Text(topic.name);
    w.Fixed(topic.partitions);
    w.Text(topic.id);
  }
  w.Varint(pipelines_.size());
  for (const auto& [incarnation, p] : pipelines_) {
    Put(&w, incarnation);
    w.Text(EncodePipeline(p.spec));
    Put(&w, p.start_offsets);
    w.Fixed(p.defined_at);
    w.Fixed(p.not_before);
  }
  w.Varint(names_.size());
  for (const auto& [name, incarnation] : names_) Put(&w, incarnation);
  w.Varint(shards_.size());
  for (const auto& [id, shard] : shards_) {
    Put(&w, id.incarnation);
    w.Fixed(id.partition.value);
    Put(&w, shard);
  }
  w.Varint(settings_.size());
  for (const auto& [what, settings] : settings_) {
    Put(&w, what);
    w.Varint(settings.size());
    for (const auto& [key, value] : settings) {
      w.Text(key);
      w.Text(value);
    }
  }
  w.Varint(trims_.size());
  for (const auto& [generation, offsets] : trims_) {
    w.Fixed(generation.value);
    Put(&w, offsets);
  }
  return out;
}

Result<Fold> Fold::Decode(std::string_view bytes) {
  ByteReader r(bytes);
  Fold fold;
  if (r.Fixed<uint8_t>() != kVersion)
    return Corruption("a control snapshot has a version this binary does not know");
  fold.next_offset_ = Offset(r.Fixed<int64_t>());
  fold.cluster_ = r.Text();
  fold.leader_.n = r.Fixed<int64_t>();
  fold.leader_.k = r.Fixed<int64_t>();
  fold.leader_.process = GetProcess(&r);
  fold.leader_.left = GetFlag(&r);
  for (uint64_t n = r.Varint(); n > 0 && r.ok(); --n) {
    const Offset generation(r.Fixed<int64_t>());
    MILLRACE_ASSIGN(StreamSpec spec, DecodeStream(r.Text()));
    spec.generation = generation;
    const Names name(spec.name_space, spec.name);
    fold.streams_[name] = std::move(spec);
  }
  for (uint64_t n = r.Varint(); n > 0 && r.ok(); --n) {
    TopicSpec& topic = fold.dropped_topics_[Offset(r.Fixed<int64_t>())];
    topic.name = r.Text();
    topic.partitions = r.Fixed<int32_t>();
    topic.id = r.Text();
  }
  for (uint64_t n = r.Varint(); n > 0 && r.ok(); --n) {
    const Incarnation incarnation = GetIncarnation(&r);
    MILLRACE_ASSIGN(PipelineSpec spec, DecodePipeline(r.Text()));
    PipelineState& p = fold.pipelines_[incarnation];
    p.spec = std::move(spec);
    for (uint64_t k = r.Varint(); k > 0 && r.ok(); --k)
      p.start_offsets.emplace_back(r.Fixed<int64_t>());
    p.defined_at = r.Fixed<Micros>();
    p.not_before = r.Fixed<Micros>();
    const StreamSpec* stream = fold.FindStream(incarnation.name_space, p.spec.stream);
    if (stream == nullptr) return Corruption("a control snapshot has a view without its stream");
    MILLRACE_TRY(CheckPipeline(p.spec, *stream));
  }
  for (uint64_t n = r.Varint(); n > 0 && r.ok(); --n) {
    const Incarnation incarnation = GetIncarnation(&r);
    fold.names_[{incarnation.name_space, incarnation.name}] = incarnation;
  }
  for (uint64_t n = r.Varint(); n > 0 && r.ok(); --n) {
    ShardId id{GetIncarnation(&r), {}};
    id.partition = PartitionId(r.Fixed<int32_t>());
    fold.shards_[id] = GetShard(&r);
  }
  for (uint64_t n = r.Varint(); n > 0 && r.ok(); --n) {
    auto& settings = fold.settings_[GetIncarnation(&r)];
    for (uint64_t k = r.Varint(); k > 0 && r.ok(); --k) {
      const std::string key(r.Text());
      settings[key] = r.Text();
    }
  }
  for (uint64_t n = r.Varint(); n > 0 && r.ok(); --n) {
    std::vector<Offset>& offsets = fold.trims_[Offset(r.Fixed<int64_t>())];
    for (uint64_t k = r.Varint(); k > 0 && r.ok(); --k) offsets.emplace_back(r.Fixed<int64_t>());
  }
  if (!r.ok() || !r.done()) return Corruption("a control snapshot does not decode");
  return fold;
}

FoldImage::FoldImage(const Fold& fold) : at(fold.next_offset().value - 1), bytes(fold.Encode()) {
  MILLRACE_CHECK(at >= Offset(0), "an image of an empty fold");
  hash = Hash(bytes);
}

void FoldImages::Note(Offset before, const Fold& fold) {
  if (before.value / interval_ == fold.next_offset().value / interval_) return;
  constexpr size_t kKept = 2;
  last_.emplace(fold);
  hashes_[last_->at] = last_->hash;
  if (hashes_.size() > kKept) hashes_.erase(hashes_.begin());
}

bool FoldImages::Agrees(const Snapshot& snapshot) const {
  const auto own = hashes_.find(snapshot.at);
  return own == hashes_.end() || own->second == snapshot.hash;
}

std::vector<Snapshot> CutSnapshot(const FoldImage& image, size_t chunk_bytes) {
  const size_t chunks = (image.bytes.size() + chunk_bytes - 1) / chunk_bytes;
  std::vector<Snapshot> out;
  for (size_t i = 0; i < chunks; ++i) {
    out.push_back({{},
                   image.at,
                   image.hash,
                   static_cast<int32_t>(i),
                   static_cast<int32_t>(chunks),
                   image.bytes.substr(i * chunk_bytes, chunk_bytes)});
  }
  return out;
}

void WholeSnapshots::Note(Verdict verdict, const Record& record) {
  const auto* chunk = std::get_if<Snapshot>(&record);
  if (chunk == nullptr || verdict != Verdict::kValid) return;
  if (chunk->chunk < 0 || chunk->chunk >= chunk->chunks) return;
  const SnapshotId id(*chunk);
  if (following_ != id) {
    if (following_ && following_->at > id.at) return;
    following_ = id;
    valid_.clear();
  }
  valid_.insert(chunk->chunk);
  if (static_cast<int64_t>(valid_.size()) < id.chunks || last_ == id.at) return;
  last_but_one_ = last_;
  last_ = id.at;
}

}  // namespace millrace::control
