#include "accumulators.h"

#include <algorithm>
#include <limits>
#include <new>
#include <span>

#include "millrace/base/check.h"
#include "part_loops.h"

namespace millrace::window {
namespace {

size_t Width(Part::Kind kind, Type type) {
  if (type == Type::kText && kind != Part::kCount) return 0;
  switch (kind) {
    case Part::kCount:
      return sizeof(int64_t);
    case Part::kSumInteger:
      return sizeof(Int128);
    case Part::kSumDouble:
      return sizeof(ExactSum);
    default:
      return type == Type::kInt ? sizeof(int32_t) : sizeof(int64_t);
  }
}

/// What a fresh min or max holds, so that the first value replaces it.
template <typename T>
T Neutral(Part::Kind kind) {
  if constexpr (std::is_same_v<T, double>) {
    return kind == Part::kMin ? Canonical(std::nan("")) : -std::numeric_limits<double>::infinity();
  } else {
    return kind == Part::kMin ? std::numeric_limits<T>::max() : std::numeric_limits<T>::min();
  }
}

/// Rows or groups handled at a time: what they need stays in the first-level cache.
constexpr size_t kRun = 256;

}  // namespace

AccumulatorPlan::AccumulatorPlan(const std::vector<AggregateSpec>& aggregates) {
  for (const AggregateSpec& a : aggregates) {
    Use use{a.kind, a.type, -1, -1};
    const int input = AddInput(a);
    use.count = AddPart(Part::kCount, Type::kBigint, input);
    if (a.argument) {
      const Type type = a.argument->type;
      const bool real = type == Type::kDouble;
      if (a.kind == Aggregate::kSum || a.kind == Aggregate::kAvg) {
        use.value = AddPart(real ? Part::kSumDouble : Part::kSumInteger, type, input);
      } else if (a.kind == Aggregate::kMin || a.kind == Aggregate::kMax) {
        use.value = AddPart(a.kind == Aggregate::kMin ? Part::kMin : Part::kMax, type, input);
      }
    }
    uses.push_back(use);
  }
  SortIntoLanes();
}

void AccumulatorPlan::SortIntoLanes() {
  for (const Part& part : parts) {
    if (part.input < 0) {
      every = part.offset;
      continue;
    }
    const auto& argument = inputs[static_cast<size_t>(part.input)].argument;
    const bool integers =
        argument && (argument->type == Type::kInt || argument->type == Type::kBigint ||
                     argument->type == Type::kTimestamp);
    if (!integers) {
      apart.push_back(part);
      continue;
    }
    auto lane = std::find_if(lanes.begin(), lanes.end(),
                             [&](const Lane& l) { return l.input == part.input; });
    if (lane == lanes.end()) {
      lanes.push_back({part.input, argument->type});
      lane = lanes.end() - 1;
    }
    switch (part.kind) {
      case Part::kCount:
        lane->count = part.offset;
        break;
      case Part::kSumInteger:
        lane->sum = part.offset;
        break;
      case Part::kMin:
        lane->least = part.offset;
        break;
      default:
        lane->largest = part.offset;
    }
  }
}

int AccumulatorPlan::AddInput(const AggregateSpec& a) {
  if (!a.argument && !a.filter) return -1;
  const Input input{a.argument, a.filter};
  const auto at = std::find(inputs.begin(), inputs.end(), input);
  if (at != inputs.end()) return static_cast<int>(at - inputs.begin());
  inputs.push_back(input);
  return static_cast<int>(inputs.size()) - 1;
}

int AccumulatorPlan::AddPart(Part::Kind kind, Type type, int input) {
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].kind == kind && parts[i].type == type && parts[i].input == input)
      return static_cast<int>(i);
  }
  const size_t width = Width(kind, type);
  const size_t align = std::min(std::max(width, size_t{1}), alignof(Int128));
  const size_t offset = (used_ + align - 1) / align * align;
  used_ = offset + width;
  const Part part{kind, type, input, offset, width == 0 ? texts++ : -1};
  parts.push_back(part);
  fresh.resize((used_ + sizeof(Int128) - 1) / sizeof(Int128));
  char* cells = reinterpret_cast<char*>(fresh.data()) + offset;
  if (kind == Part::kSumDouble) {
    new (cells) ExactSum();
  } else if (width != 0 && (kind == Part::kMin || kind == Part::kMax)) {
    WithExtremum(type, [&]<typename T>(T) { new (cells) T(Neutral<T>(kind)); });
  }
  return static_cast<int>(parts.size()) - 1;
}

Page::Page(const AccumulatorPlan& plan, uint64_t page_epoch)
    : epoch(page_epoch), stride(plan.stride()) {
  cells.resize(plan.fresh.size() * kPageSlots);
  texts.resize(static_cast<size_t>(plan.texts) * kPageSlots);
  Reset(plan, kPageSlots);
}

void Page::Reset(const AccumulatorPlan& plan, size_t n) {
  for (size_t slot = 0; slot < n; ++slot)
    std::copy(plan.fresh.begin(), plan.fresh.end(), cells.begin() + slot * plan.fresh.size());
  for (TextCell& cell : texts) cell.set = false;
  wides.clear();
}

uint32_t GroupTable::Add(KeyTable::Id key, uint64_t epoch) {
  if (key >= slots_.size()) slots_.resize(std::max<size_t>(key + 1, slots_.size() * 2), kNoSlot);
  const uint32_t slot = size_++;
  slots_[key] = slot;
  if (slot / kPageSlots == pages_.size()) {
    pages_.push_back(std::make_shared<Page>(*plan_, epoch));
  } else if (slot % kPageSlots == 0) {
    pages_[slot / kPageSlots]->Reset(*plan_, kPageSlots);
  }
  Writable(slot, epoch)->keys[slot % kPageSlots] = key;
  return slot;
}

void GroupTable::CopyPage(std::shared_ptr<Page>* page, uint64_t epoch) {
  *page = std::make_shared<Page>(**page);
  (*page)->epoch = epoch;
}

void GroupTable::Clear() {
  std::fill(slots_.begin(), slots_.end(), kNoSlot);
  size_ = 0;
}

void GroupTable::Assign(const GroupTable& from) {
  slots_ = from.slots_;
  size_ = from.size_;
  for (size_t i = 0; i * kPageSlots < size_; ++i) {
    if (i == pages_.size()) {
      pages_.push_back(std::make_shared<Page>(*from.pages_[i]));
    } else {
      *pages_[i] = *from.pages_[i];
    }
  }
}

void GroupTable::Update(const std::vector<Pending>& pending, const std::vector<InputRows>& inputs,
                        uint64_t epoch, std::vector<KeyTable::Id>* added) {
  Target targets[kRun];
  for (size_t begin = 0; begin < pending.size(); begin += kRun) {
    const size_t n = std::min(kRun, pending.size() - begin);
    // Loops that do one thing each: the cache misses of their rows overlap.
    for (size_t i = 0; i < n; ++i) {
      const Pending& p = pending[begin + i];
      uint32_t slot = Find(p.key);
      if (slot == kNoSlot) [[unlikely]] {
        slot = Add(p.key, epoch);
        added->push_back(p.key);
      }
      targets[i].row = p.row;
      targets[i].slot = slot;
    }
    for (size_t i = 0; i < n; ++i) {
      Target& t = targets[i];
      t.page = Writable(t.slot, epoch);
      t.slot %= kPageSlots;
      t.cells = t.page->Row(t.slot);
      __builtin_prefetch(t.cells, 1);
      __builtin_prefetch(t.cells + t.page->stride - 1, 1);
    }
    UpdateParts(*plan_, {targets, n}, inputs);
  }
}

void GroupTable::MergeAll(const GroupTable& from, uint64_t epoch) {
  Move moves[kPageSlots];
  for (uint32_t first = 0; first < from.size_; first += kPageSlots) {
    const Page& page = *from.pages_[first / kPageSlots];
    const uint32_t n = std::min(kPageSlots, from.size_ - first);
    for (uint32_t i = 0; i < n; ++i) {
      uint32_t slot = Find(page.keys[i]);
      if (slot == kNoSlot) [[unlikely]]
        slot = Add(page.keys[i], epoch);
      moves[i] = {page.Row(i), nullptr, &page, nullptr, i, slot};
      __builtin_prefetch(moves[i].from_cells + page.stride - 1);
    }
    for (uint32_t i = 0; i < n; ++i) {
      Move& m = moves[i];
      m.to = Writable(m.to_slot, epoch);
      m.to_slot %= kPageSlots;
      m.to_cells = m.to->Row(m.to_slot);
      __builtin_prefetch(m.to_cells, 1);
      __builtin_prefetch(m.to_cells + page.stride - 1, 1);
    }
    MergeParts(*plan_, {moves, n});
  }
}

size_t GroupTable::Places(const KeyTable::Id* keys, size_t n, Page* to, Move* moves) const {
  size_t found = 0;
  for (uint32_t i = 0; i < n; ++i) {
    const uint32_t slot = Find(keys[i]);
    if (slot == kNoSlot) continue;
    const Page* from = pages_[slot / kPageSlots].get();
    const char* cells = from->Row(slot % kPageSlots);
    __builtin_prefetch(cells);
    __builtin_prefetch(cells + to->stride - 1);
    moves[found++] = {cells, to->Row(i), from, to, slot % kPageSlots, i};
  }
  return found;
}

void GroupTable::CopyTo(const KeyTable::Id* keys, size_t n, Page* page) const {
  Move moves[kPageSlots];
  const size_t found = Places(keys, n, page, moves);
  const size_t width = plan_->fresh.size();
  if (found < n) {
    for (size_t i = 0; i < n; ++i)
      std::copy_n(plan_->fresh.data(), width, page->cells.data() + i * width);
  }
  for (const Move& m : std::span(moves, found)) {
    const auto* from = reinterpret_cast<const Int128*>(m.from_cells);
    auto* to = reinterpret_cast<Int128*>(m.to_cells);
    for (size_t k = 0; k < width; ++k) to[k] = from[k];
  }
  // What lies outside of the rows.
  for (TextCell& cell : page->texts) cell.set = false;
  page->wides.clear();
  for (const Part& part : plan_->parts) {
    for (const Move& m : std::span(moves, found)) {
      if (part.text >= 0) {
        m.to->Text(part, m.to_slot) = m.from->Text(part, m.from_slot);
      } else if (part.kind == Part::kSumDouble) {
        m.to->At<ExactSum>(part, m.to_slot).MoveWide(m.from->wides, &page->wides);
      } else {
        break;
      }
    }
  }
}

void GroupTable::AddTo(const KeyTable::Id* keys, size_t n, Page* page) const {
  Move moves[kPageSlots];
  const size_t found = Places(keys, n, page, moves);
  MergeParts(*plan_, {moves, found});
}

bool GroupTable::Insert(KeyTable::Id key, uint64_t epoch, Page** page, uint32_t* slot) {
  if (Has(key)) return false;
  const uint32_t at = Add(key, epoch);
  *page = pages_[at / kPageSlots].get();
  *slot = at % kPageSlots;
  return true;
}

}  // namespace millrace::window
