#include <algorithm>

#include "fold_state.h"
#include "millrace/base/check.h"
#include "millrace/base/facts.h"
#include "millrace/base/planted.h"
#include "row_writer.h"

namespace millrace::window {
namespace {

/// The version of the stored entries (docs/formats/state.md). A reader knows this one only.
constexpr uint8_t kStateVersion = 3;
/// Entries that are made for their hash alone and dropped.
constexpr size_t kHashedAtOnce = 1 << 20;
constexpr std::string_view kMetaKey = "M";
constexpr std::string_view kProvisionalKey = "V";

std::pair<std::string, std::string> Exactly(const std::string& key) { return {key, key + '\0'}; }

}  // namespace

void RowState::Encode(ByteWriter* w) const {
  w->Varint(static_cast<uint64_t>(revision));
  w->Varint(static_cast<uint64_t>(result_seq));
  w->Fixed(static_cast<uint8_t>((stands ? 1 : 0) | (failed ? 2 : 0) | (pending ? 4 : 0)));
}

void RowState::Decode(ByteReader* r) {
  revision = static_cast<int64_t>(r->Varint());
  result_seq = static_cast<int64_t>(r->Varint());
  const auto flags = r->Fixed<uint8_t>();
  stands = (flags & 1) != 0;
  failed = (flags & 2) != 0;
  pending = (flags & 4) != 0;
}

void StateHash::Set(const std::string& unit, const Hash128& hash) {
  EraseRange(unit, unit + '\0');
  units_[unit] = hash;
  total_ += hash;
}

void StateHash::EraseRange(const std::string& begin, const std::string& end) {
  for (auto at = units_.lower_bound(begin); at != units_.end() && at->first < end;
       at = units_.erase(at)) {
    // Subtract modulo 2^128: add the two's complement.
    Hash128 negative{~at->second.lo, ~at->second.hi};
    negative += Hash128{1, 0};
    total_ += negative;
  }
}

struct FrozenFold::Content {
  explicit Content(const AccumulatorPlan& p) : plan(p) {}

  AccumulatorPlan plan;
  bool everything = false;
  KeyTable::Frozen keys;
  StateChange small;
  struct FrozenPage {
    Micros slice_start;
    uint32_t index;
    uint32_t slots;
    std::shared_ptr<const Page> page;
  };
  std::vector<FrozenPage> pages;
  // What NextChanges has given out.
  bool begun = false;
  size_t next_small = 0;
  size_t next_page = 0;

  size_t EncodePage(FrozenPage* frozen, StateChange* change, StateHash* hash) const;
};

/// Gives the bytes of the entries. The page may be gone when they are made.
size_t FrozenFold::Content::EncodePage(FrozenPage* frozen, StateChange* change,
                                       StateHash* hash) const {
  size_t bytes = 0;
  const std::string prefix = SliceRange(frozen->slice_start).first;
  Hash128 sum;
  for (uint32_t slot = 0; slot < frozen->slots; ++slot) {
    auto& [key, value] = change->puts.emplace_back(prefix, std::string());
    key.append(keys.Key(frozen->page->keys[slot]));
    EncodeSlot(plan, *frozen->page, slot, &value);
    Hash128 h = Hash(key);
    h += Hash(value, h.lo);
    sum += h;
    bytes += key.size() + value.size();
  }
  std::string unit = prefix;
  AppendOrdered(&unit, frozen->index);
  hash->Set(unit, sum);
  frozen->page.reset();
  return bytes;
}

FrozenFold::FrozenFold(std::unique_ptr<Content> content) : content_(std::move(content)) {}
FrozenFold::FrozenFold(FrozenFold&&) noexcept = default;
FrozenFold& FrozenFold::operator=(FrozenFold&&) noexcept = default;
FrozenFold::~FrozenFold() = default;

std::optional<StateChange> FrozenFold::NextChanges(StateHash* hash, size_t bytes) {
  Content& c = *content_;
  StateChange change;
  if (!c.begun) {
    c.begun = true;
    change.delete_ranges = std::move(c.small.delete_ranges);
    if (c.everything) {
      *hash = StateHash();
      change.delete_ranges = {{std::string(), "\xff"}};
    }
    for (const auto& [begin, end] : change.delete_ranges) hash->EraseRange(begin, end);
  } else if (c.next_small == c.small.puts.size() && c.next_page == c.pages.size()) {
    return std::nullopt;
  }
  size_t made = 0;
  for (; made < bytes && c.next_small < c.small.puts.size(); ++c.next_small) {
    auto& [key, value] = change.puts.emplace_back(std::move(c.small.puts[c.next_small]));
    Hash128 h = Hash(key);
    h += Hash(value, h.lo);
    hash->Set(key, h);
    made += key.size() + value.size();
  }
  while (made < bytes && c.next_page < c.pages.size())
    made += c.EncodePage(&c.pages[c.next_page++], &change, hash);
  std::sort(change.puts.begin(), change.puts.end());
  return change;
}

FrozenFold ShardFold::Freeze(bool everything) {
  MILLRACE_CHECK(!emitting(), "a fold was frozen in the middle of what one record makes due");
  State& s = *state_;
  if (Planted("file_ended_at_cut") && s.file.open) s.EndFile();
  auto content = std::make_unique<FrozenFold::Content>(s.plan);
  content->everything = everything;
  StateChange& small = content->small;
  small.delete_ranges = std::exchange(s.dropped, {});

  std::string meta;
  ByteWriter w(&meta);
  w.Fixed(kStateVersion);
  s.time.Encode(&w);
  w.Fixed(s.events_since_pulse);
  for (const int64_t seq : s.seqs) w.Fixed(seq);
  for (const Hash128& chain : s.chains) w.Fixed(chain);
  w.Fixed(s.ledger);
  w.Fixed(s.file.open);
  w.Fixed(s.file.interval_start);
  w.Fixed(s.file.first_seq);
  w.Fixed(s.file.rows);
  w.Fixed(s.file.bytes);
  w.Varint(s.gaps.size());
  for (const State::Gap& gap : s.gaps) w.Fixed(gap);
  small.puts.emplace_back(kMetaKey, std::move(meta));

  std::vector<std::pair<std::string, std::string>> producers;
  std::vector<std::string> forgotten;
  s.producers.TakeChanges(everything, &producers, &forgotten);
  if (Planted("dedup_forgotten")) producers.clear();
  for (auto& [key, value] : producers) small.puts.emplace_back("P" + key, std::move(value));
  for (const std::string& key : forgotten) small.delete_ranges.push_back(Exactly("P" + key));

  for (auto& [end, window] : s.closed) {
    if (!window.dirty && !everything) continue;
    window.dirty = false;
    std::vector<KeyTable::Id> ids;
    for (const auto& [id, row] : window.rows) ids.push_back(id);
    s.keys.Sort(&ids);
    std::string value;
    ByteWriter v(&value);
    v.Fixed(window.window.start);
    for (const KeyTable::Id id : ids) {
      v.Text(s.keys.Key(id));
      window.rows.at(id).Encode(&v);
    }
    small.puts.emplace_back(ClosedRange(end).first, std::move(value));
  }
  if (s.spec.pipeline.updates) {
    std::string value;
    ByteWriter v(&value);
    for (auto* sets : {&s.provisional.changed, &s.provisional.standing}) {
      v.Varint(sets->size());
      for (const auto& [at, set] : *sets) {
        std::vector<KeyTable::Id> ids(set.begin(), set.end());
        s.keys.Sort(&ids);
        v.Fixed(at);
        v.Varint(ids.size());
        for (const KeyTable::Id id : ids) v.Text(s.keys.Key(id));
      }
    }
    small.puts.emplace_back(kProvisionalKey, std::move(value));
  }
  for (const auto& [start, slice] : s.slices) {
    const auto& pages = slice.table.pages();
    for (uint32_t i = 0; i < pages.size(); ++i) {
      if (pages[i]->epoch != s.epoch && !everything) continue;
      content->pages.push_back(
          {start, i, std::min(kPageSlots, slice.table.size() - i * kPageSlots), pages[i]});
    }
  }
  content->keys = s.keys.Freeze();
  ++s.epoch;
  return FrozenFold(std::move(content));
}

Status ShardFold::Restore(std::string_view key, std::string_view value) {
  State& s = *state_;
  const auto bad = [&](std::string_view what) {
    return Corruption("a stored entry does not fit the pipeline: " + std::string(what),
                      {{"key", Hex(key.substr(0, 40))}});
  };
  if (key.empty()) return bad("empty key");
  ByteReader in(value);
  if (key == kMetaKey) {
    if (in.Fixed<uint8_t>() != kStateVersion) return bad("unknown state version");
    s.time.Decode(&in);
    s.events_since_pulse = in.Fixed<int64_t>();
    for (int64_t& seq : s.seqs) seq = in.Fixed<int64_t>();
    for (Hash128& chain : s.chains) chain = in.Fixed<Hash128>();
    s.ledger = in.Fixed<Ledger>();
    s.file.open = in.Fixed<uint8_t>() != 0;
    s.file.interval_start = in.Fixed<Micros>();
    s.file.first_seq = in.Fixed<int64_t>();
    s.file.rows = in.Fixed<int64_t>();
    s.file.bytes = in.Fixed<int64_t>();
    for (uint64_t n = in.Varint(); n > 0 && in.ok(); --n) s.gaps.push_back(in.Fixed<State::Gap>());
    return in.ok() && in.done() ? Status() : bad("meta");
  }
  if (key.front() == 'P')
    return s.producers.Restore(key.substr(1), value) ? Status() : bad("producer");
  const auto intern = [&](std::string_view k) { return s.keys.Intern(k, HashKey(k)); };
  if (key.front() == 'C' && key.size() == 9) {
    const Micros end = ReadOrdered(key.data() + 1);
    ClosedWindow& window = s.closed[end];
    window.window = {in.Fixed<Micros>(), end};
    window.dirty = false;
    while (in.ok() && !in.done()) {
      const KeyTable::Id id = intern(in.Text());
      RowState& row = window.rows[id];
      row.Decode(&in);
      if (row.pending) window.pending.push_back(id);
    }
    return in.ok() ? Status() : bad("closed window");
  }
  if (key == kProvisionalKey) {
    for (auto* sets : {&s.provisional.changed, &s.provisional.standing}) {
      for (uint64_t n = in.Varint(); n > 0 && in.ok(); --n) {
        auto& set = (*sets)[in.Fixed<Micros>()];
        for (uint64_t k = in.Varint(); k > 0 && in.ok(); --k) set.insert(intern(in.Text()));
      }
    }
    return in.ok() && in.done() ? Status() : bad("provisional rows");
  }
  if (key.front() == 'S' && key.size() >= 9) {
    const Micros start = ReadOrdered(key.data() + 1);
    const std::string_view group = key.substr(9);
    if (!DecodeKey(group, s.key_types).ok()) return bad("group key");
    auto at = s.slices.find(start);
    if (at == s.slices.end()) {
      const Span span = s.assigner.SliceOf(start);
      if (span.start != start) return bad("slice start");
      s.MakeSlice(span);
      at = s.slices.find(start);
    }
    const KeyTable::Id id = intern(group);
    Page* page = nullptr;
    uint32_t slot = 0;
    if (!at->second.table.Insert(id, s.epoch, &page, &slot)) return bad("a group twice");
    s.keys.Ref(id);
    return DecodeSlot(s.plan, &in, page, slot) && in.done() ? Status() : bad("accumulators");
  }
  return bad("unknown kind");
}

StateHash ShardFold::FinishRestore() {
  state_->current = nullptr;
  state_->UpdateDeadline();
  StateHash hash;
  FrozenFold frozen = Freeze(true);
  while (frozen.NextChanges(&hash, kHashedAtOnce)) {
  }
  return hash;
}

}  // namespace millrace::window
