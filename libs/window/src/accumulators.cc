#include "accumulators.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <new>
#include <span>

#include "millrace/base/check.h"

namespace millrace::window {
namespace {

double Canonical(double v) {
  if (std::isnan(v)) return std::bit_cast<double>(uint64_t{0x7ff8000000000000});
  return v + 0.0;  // -0 becomes 0
}

template <typename T>
T Smaller(T a, T b) {
  if constexpr (std::is_same_v<T, double>) return std::isnan(a) || b < a ? b : a;
  return std::min(a, b);
}

template <typename T>
T Larger(T a, T b) {
  if constexpr (std::is_same_v<T, double>) return std::isnan(b) || b > a ? b : a;
  return std::max(a, b);
}

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

/// Calls f with the C++ type of a min or max.
template <typename F>
void WithExtremum(Type type, F&& f) {
  switch (type) {
    case Type::kInt:
      return f(int32_t{});
    case Type::kDouble:
      return f(double{});
    case Type::kBigint:
    case Type::kTimestamp:
      return f(int64_t{});
    default:
      MILLRACE_CHECK(false, "min and max of a type that has none");
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

/// Where a row's values go.
struct Target {
  char* cells;
  Page* page;
  uint32_t row;
  uint32_t slot;
};

/// Which accumulators are added to which.
struct Move {
  const char* from_cells;
  char* to_cells;
  const Page* from;
  Page* to;
  uint32_t from_slot;
  uint32_t to_slot;
};

// Everything that these loops read again and again is a local copy: they store through pointers
// that might, for all the compiler knows, point at it.

template <typename T, typename F>
void ForEach(std::span<const Target> targets, const Part& part, const uint8_t* take, F f) {
  const auto run = [targets, offset = part.offset, f](auto taken) {
    for (const Target& t : targets) {
      if (taken(t.row)) f(*reinterpret_cast<T*>(t.cells + offset), t);
    }
  };
  if (take == nullptr) {
    run([](uint32_t) { return true; });
  } else {
    run([take](uint32_t row) { return take[row] != 0; });
  }
}

template <typename T, typename F>
void ForEach(std::span<const Move> moves, const Part& part, F f) {
  const size_t offset = part.offset;
  for (const Move& m : moves) {
    f(*reinterpret_cast<T*>(m.to_cells + offset),
      *reinterpret_cast<const T*>(m.from_cells + offset), m);
  }
}

void KeepText(Part::Kind kind, std::string_view v, TextCell* cell) {
  if (cell->set && (kind == Part::kMin ? v >= cell->value : v <= cell->value)) return;
  cell->set = true;
  cell->value = v;
}

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

namespace {

void UpdateParts(const AccumulatorPlan& plan, std::span<const Target> targets,
                 const std::vector<InputRows>& inputs) {
  for (const Part& part : plan.parts) {
    static const InputRows kEveryRow;
    const InputRows& in = part.input < 0 ? kEveryRow : inputs[static_cast<size_t>(part.input)];
    const Vec v = in.value;
    switch (part.kind) {
      case Part::kCount:
        ForEach<int64_t>(targets, part, in.take, [](int64_t& n, const Target&) { ++n; });
        break;
      case Part::kSumInteger:
        if (part.type == Type::kInt) {
          ForEach<Int128>(targets, part, in.take,
                          [v](Int128& s, const Target& t) { s += v.At<int32_t>(t.row); });
        } else {
          ForEach<Int128>(targets, part, in.take,
                          [v](Int128& s, const Target& t) { s += v.At<int64_t>(t.row); });
        }
        break;
      case Part::kSumDouble:
        ForEach<ExactSum>(targets, part, in.take, [v](ExactSum& s, const Target& t) {
          s.Add(v.At<double>(t.row), &t.page->wides);
        });
        break;
      default:
        if (part.type == Type::kText) {
          for (const Target& t : targets) {
            if (in.take != nullptr && in.take[t.row] == 0) continue;
            KeepText(part.kind, v.At<std::string_view>(t.row), &t.page->Text(part, t.slot));
          }
          break;
        }
        WithExtremum(part.type, [&]<typename T>(T) {
          const auto value = [v](uint32_t row) {
            if constexpr (std::is_same_v<T, double>) return Canonical(v.At<double>(row));
            return v.At<T>(row);
          };
          if (part.kind == Part::kMin) {
            ForEach<T>(targets, part, in.take,
                       [value](T& m, const Target& t) { m = Smaller<T>(m, value(t.row)); });
          } else {
            ForEach<T>(targets, part, in.take,
                       [value](T& m, const Target& t) { m = Larger<T>(m, value(t.row)); });
          }
        });
    }
  }
}

void MergeParts(const AccumulatorPlan& plan, std::span<const Move> moves) {
  const auto add = [](auto& to, const auto& x, const Move&) { to += x; };
  for (const Part& part : plan.parts) {
    switch (part.kind) {
      case Part::kCount:
        ForEach<int64_t>(moves, part, add);
        break;
      case Part::kSumInteger:
        ForEach<Int128>(moves, part, add);
        break;
      case Part::kSumDouble:
        ForEach<ExactSum>(moves, part, [](ExactSum& to, const ExactSum& x, const Move& m) {
          to.Merge(x, m.from->wides, &m.to->wides);
        });
        break;
      default:
        if (part.type == Type::kText) {
          for (const Move& m : moves) {
            const TextCell& cell = m.from->Text(part, m.from_slot);
            if (cell.set) KeepText(part.kind, cell.value, &m.to->Text(part, m.to_slot));
          }
          break;
        }
        WithExtremum(part.type, [&]<typename T>(T) {
          if (part.kind == Part::kMin) {
            ForEach<T>(moves, part, [](T& to, const T& x, const Move&) { to = Smaller<T>(to, x); });
          } else {
            ForEach<T>(moves, part, [](T& to, const T& x, const Move&) { to = Larger<T>(to, x); });
          }
        });
    }
  }
}

}  // namespace

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
    }
    for (uint32_t i = 0; i < n; ++i) {
      Move& m = moves[i];
      m.to = Writable(m.to_slot, epoch);
      m.to_slot %= kPageSlots;
      m.to_cells = m.to->Row(m.to_slot);
      __builtin_prefetch(m.to_cells, 1);
    }
    MergeParts(*plan_, {moves, n});
  }
}

void GroupTable::CopyTo(const KeyTable::Id* keys, size_t n, Page* page) const {
  Move moves[kPageSlots];
  const size_t width = plan_->fresh.size();
  size_t found = 0;
  for (uint32_t i = 0; i < n; ++i) {
    const uint32_t slot = Find(keys[i]);
    const Page* from = slot == kNoSlot ? nullptr : pages_[slot / kPageSlots].get();
    const uint32_t at = slot % kPageSlots;
    const Int128* cells = from == nullptr ? plan_->fresh.data() : &from->cells[at * width];
    Int128* to = &page->cells[i * width];
    for (size_t k = 0; k < width; ++k) to[k] = cells[k];
    if (from != nullptr) moves[found++] = {nullptr, nullptr, from, page, at, i};
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
  size_t found = 0;
  for (uint32_t i = 0; i < n; ++i) {
    const uint32_t slot = Find(keys[i]);
    if (slot == kNoSlot) continue;
    const Page* from = pages_[slot / kPageSlots].get();
    const uint32_t at = slot % kPageSlots;
    moves[found++] = {from->Row(at), page->Row(i), from, page, at, i};
    __builtin_prefetch(from->Row(at));
  }
  MergeParts(*plan_, {moves, found});
}

bool GroupTable::Insert(KeyTable::Id key, uint64_t epoch, Page** page, uint32_t* slot) {
  if (Has(key)) return false;
  const uint32_t at = Add(key, epoch);
  *page = pages_[at / kPageSlots].get();
  *slot = at % kPageSlots;
  return true;
}

namespace {

/// Fills a column with f(slot), NULL where the count is 0.
template <typename T, typename F>
void FinishColumn(const Page& page, size_t n, const Part& counter, ColumnData* column, F&& f) {
  const size_t first = column->rows();
  T* to = column->Extend<T>(n);
  for (uint32_t slot = 0; slot < n; ++slot) {
    const int64_t count = page.At<int64_t>(counter, slot);
    if (count == 0) {
      column->SetNull(first + slot);
    } else {
      to[slot] = static_cast<T>(f(slot, static_cast<uint64_t>(count)));
    }
  }
}

/// A sum of ints: it takes more than 2^32 events of the largest int in one group to leave bigint.
int64_t CheckedBigint(Int128 sum) {
  MILLRACE_CHECK(
      sum >= std::numeric_limits<int64_t>::min() && sum <= std::numeric_limits<int64_t>::max(),
      "a sum of ints passes bigint");
  return static_cast<int64_t>(sum);
}

}  // namespace

void Finish(const AccumulatorPlan& plan, const Page& page, size_t n, ColumnData* columns) {
  for (const AccumulatorPlan::Use& use : plan.uses) {
    ColumnData* column = columns++;
    const Part& counter = plan.parts[static_cast<size_t>(use.count)];
    if (use.value < 0) {
      auto* to = column->Extend<int64_t>(n);
      for (uint32_t slot = 0; slot < n; ++slot) to[slot] = page.At<int64_t>(counter, slot);
      continue;
    }
    const Part& part = plan.parts[static_cast<size_t>(use.value)];
    if (part.kind == Part::kSumInteger) {
      if (use.kind == Aggregate::kAvg) {
        FinishColumn<double>(page, n, counter, column, [&](uint32_t slot, uint64_t count) {
          return RoundedQuotient(page.At<Int128>(part, slot), count);
        });
      } else if (use.type == Type::kNumeric) {
        FinishColumn<Int128>(page, n, counter, column,
                             [&](uint32_t slot, uint64_t) { return page.At<Int128>(part, slot); });
      } else {
        FinishColumn<int64_t>(page, n, counter, column, [&](uint32_t slot, uint64_t) {
          return CheckedBigint(page.At<Int128>(part, slot));
        });
      }
    } else if (part.kind == Part::kSumDouble) {
      const bool mean = use.kind == Aggregate::kAvg;
      FinishColumn<double>(page, n, counter, column, [&](uint32_t slot, uint64_t count) {
        return page.At<ExactSum>(part, slot).Rounded(mean ? count : 1, page.wides);
      });
    } else if (part.type == Type::kText) {
      for (uint32_t slot = 0; slot < n; ++slot) {
        if (page.At<int64_t>(counter, slot) == 0) {
          column->AppendNull();
        } else {
          column->AppendText(page.Text(part, slot).value);
        }
      }
    } else {
      WithExtremum(part.type, [&]<typename T>(T) {
        FinishColumn<T>(page, n, counter, column,
                        [&](uint32_t slot, uint64_t) { return page.At<T>(part, slot); });
      });
    }
  }
}

void EncodeSlot(const AccumulatorPlan& plan, const Page& page, uint32_t slot, std::string* out) {
  ByteWriter w(out);
  for (const Part& part : plan.parts) {
    switch (part.kind) {
      case Part::kCount:
        w.Varint(static_cast<uint64_t>(page.At<int64_t>(part, slot)));
        break;
      case Part::kSumInteger:
        w.Fixed(page.At<Int128>(part, slot));
        break;
      case Part::kSumDouble:
        page.At<ExactSum>(part, slot).Encode(out, page.wides);
        break;
      default:
        if (part.type == Type::kText) {
          w.Fixed(page.Text(part, slot).set);
          w.Text(page.Text(part, slot).value);
        } else {
          WithExtremum(part.type, [&]<typename T>(T) { w.Fixed(page.At<T>(part, slot)); });
        }
    }
  }
}

bool DecodeSlot(const AccumulatorPlan& plan, ByteReader* in, Page* page, uint32_t slot) {
  for (const Part& part : plan.parts) {
    switch (part.kind) {
      case Part::kCount:
        page->At<int64_t>(part, slot) = static_cast<int64_t>(in->Varint());
        break;
      case Part::kSumInteger:
        page->At<Int128>(part, slot) = in->Fixed<Int128>();
        break;
      case Part::kSumDouble:
        if (!page->At<ExactSum>(part, slot).Decode(in, &page->wides)) return false;
        break;
      default:
        if (part.type == Type::kText) {
          page->Text(part, slot).set = in->Fixed<uint8_t>() != 0;
          page->Text(part, slot).value = in->Text();
        } else {
          WithExtremum(part.type, [&]<typename T>(T) { page->At<T>(part, slot) = in->Fixed<T>(); });
        }
    }
  }
  return in->ok();
}

}  // namespace millrace::window
