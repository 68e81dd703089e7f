#include "accumulators.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

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

template <typename T, typename F>
void ForEach(const std::vector<std::shared_ptr<Page>>& pages, const Part& part,
             const std::vector<Pending>& pending, const uint8_t* take, F&& f) {
  const auto run = [&](auto taken) {
    for (const Pending p : pending) {
      if (!taken(p.row)) continue;
      Page& page = *pages[p.slot / kPageSlots];
      f(page, page.Array<T>(part)[p.slot % kPageSlots], p.row);
    }
  };
  if (take == nullptr) {
    run([](uint32_t) { return true; });
  } else {
    run([take](uint32_t row) { return take[row] != 0; });
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
  Part part{kind, type, input, page_bytes, width == 0 ? texts++ : -1};
  page_bytes += (width * kPageSlots + sizeof(Int128) - 1) / sizeof(Int128) * sizeof(Int128);
  parts.push_back(part);
  return static_cast<int>(parts.size()) - 1;
}

namespace {

std::shared_ptr<Page> NewPage(const AccumulatorPlan& plan, uint64_t epoch) {
  auto page = std::make_shared<Page>();
  page->epoch = epoch;
  page->cells.resize(plan.page_bytes / sizeof(Int128));
  page->texts.resize(static_cast<size_t>(plan.texts) * kPageSlots);
  for (const Part& part : plan.parts) {
    if (part.kind == Part::kSumDouble)
      std::uninitialized_fill_n(page->Array<ExactSum>(part), kPageSlots, ExactSum());
    if ((part.kind != Part::kMin && part.kind != Part::kMax) || part.type == Type::kText) continue;
    WithExtremum(part.type, [&]<typename T>(T) {
      std::fill_n(page->Array<T>(part), kPageSlots, Neutral<T>(part.kind));
    });
  }
  return page;
}

}  // namespace

uint32_t GroupTable::FindOrAdd(KeyTable::Id key, uint64_t epoch, bool* added) {
  if (key >= slots_.size()) slots_.resize(std::max<size_t>(key + 1, slots_.size() * 2), kNoSlot);
  uint32_t slot = slots_[key];
  *added = slot == kNoSlot;
  if (*added) {
    slot = size_++;
    slots_[key] = slot;
    if (slot / kPageSlots == pages_.size()) pages_.push_back(NewPage(*plan_, epoch));
  }
  auto& page = pages_[slot / kPageSlots];
  if (page->epoch != epoch) [[unlikely]] {
    page = std::make_shared<Page>(*page);
    page->epoch = epoch;
  }
  if (*added) page->keys[slot % kPageSlots] = key;
  return slot;
}

void GroupTable::Clear() {
  pages_.clear();
  slots_.clear();
  size_ = 0;
}

void GroupTable::Update(const std::vector<Pending>& pending, const std::vector<InputRows>& inputs) {
  for (const Part& part : plan_->parts) {
    static const InputRows kEveryRow;
    const InputRows& in = part.input < 0 ? kEveryRow : inputs[static_cast<size_t>(part.input)];
    const Vec& v = in.value;
    switch (part.kind) {
      case Part::kCount:
        ForEach<int64_t>(pages_, part, pending, in.take, [](Page&, int64_t& n, uint32_t) { ++n; });
        break;
      case Part::kSumInteger:
        if (part.type == Type::kInt) {
          ForEach<Int128>(pages_, part, pending, in.take,
                          [&](Page&, Int128& s, uint32_t row) { s += v.At<int32_t>(row); });
        } else {
          ForEach<Int128>(pages_, part, pending, in.take,
                          [&](Page&, Int128& s, uint32_t row) { s += v.At<int64_t>(row); });
        }
        break;
      case Part::kSumDouble:
        ForEach<ExactSum>(
            pages_, part, pending, in.take,
            [&](Page& page, ExactSum& s, uint32_t row) { s.Add(v.At<double>(row), &page.wides); });
        break;
      default:
        if (part.type == Type::kText) {
          for (const Pending p : pending) {
            if (in.take != nullptr && in.take[p.row] == 0) continue;
            KeepText(part.kind, v.At<std::string_view>(p.row),
                     &pages_[p.slot / kPageSlots]->Text(part, p.slot % kPageSlots));
          }
          break;
        }
        WithExtremum(part.type, [&]<typename T>(T) {
          const auto value = [&](uint32_t row) {
            if constexpr (std::is_same_v<T, double>) return Canonical(v.At<double>(row));
            return v.At<T>(row);
          };
          if (part.kind == Part::kMin) {
            ForEach<T>(pages_, part, pending, in.take,
                       [&](Page&, T& m, uint32_t row) { m = Smaller<T>(m, value(row)); });
          } else {
            ForEach<T>(pages_, part, pending, in.take,
                       [&](Page&, T& m, uint32_t row) { m = Larger<T>(m, value(row)); });
          }
        });
    }
  }
}

void GroupTable::Merge(const GroupTable& from, const std::vector<SlotPair>& pairs) {
  const auto each = [&]<typename T>(const Part& part, auto&& f) {
    for (const SlotPair p : pairs) {
      const Page& source = *from.pages_[p.from / kPageSlots];
      Page& target = *pages_[p.to / kPageSlots];
      f(target, target.Array<T>(part)[p.to % kPageSlots], source,
        source.Array<T>(part)[p.from % kPageSlots]);
    }
  };
  const auto add = [](Page&, auto& to, const Page&, const auto& x) { to += x; };
  for (const Part& part : plan_->parts) {
    switch (part.kind) {
      case Part::kCount:
        each.template operator()<int64_t>(part, add);
        break;
      case Part::kSumInteger:
        each.template operator()<Int128>(part, add);
        break;
      case Part::kSumDouble:
        each.template operator()<ExactSum>(
            part, [](Page& target, ExactSum& to, const Page& source, const ExactSum& x) {
              to.Merge(x, source.wides, &target.wides);
            });
        break;
      default:
        if (part.type == Type::kText) {
          for (const SlotPair p : pairs) {
            const TextCell& cell =
                from.pages_[p.from / kPageSlots]->Text(part, p.from % kPageSlots);
            if (cell.set)
              KeepText(part.kind, cell.value,
                       &pages_[p.to / kPageSlots]->Text(part, p.to % kPageSlots));
          }
          break;
        }
        WithExtremum(part.type, [&]<typename T>(T) {
          if (part.kind == Part::kMin) {
            each.template operator()<T>(
                part, [](Page&, T& to, const Page&, const T& x) { to = Smaller<T>(to, x); });
          } else {
            each.template operator()<T>(
                part, [](Page&, T& to, const Page&, const T& x) { to = Larger<T>(to, x); });
          }
        });
    }
  }
}

void GroupTable::MergeAll(const GroupTable& from, uint64_t epoch) {
  std::vector<SlotPair> pairs;
  pairs.reserve(from.size());
  for (uint32_t slot = 0; slot < from.size(); ++slot) {
    bool added = false;
    pairs.push_back({slot, FindOrAdd(from.KeyAt(slot), epoch, &added)});
  }
  Merge(from, pairs);
}

void GroupTable::Finish(const std::vector<uint32_t>& slots, std::vector<ColumnData>* out) const {
  for (const AccumulatorPlan::Use& use : plan_->uses) {
    ColumnData column(use.type);
    const Part& counter = plan_->parts[static_cast<size_t>(use.count)];
    const Part* part = use.value < 0 ? nullptr : &plan_->parts[static_cast<size_t>(use.value)];
    for (const uint32_t s : slots) {
      const Page& page = *pages_[s / kPageSlots];
      const uint32_t slot = s % kPageSlots;
      const int64_t count = page.Array<int64_t>(counter)[slot];
      if (part == nullptr) {
        column.AppendInteger(count);
      } else if (count == 0) {
        column.AppendNull();
      } else if (part->kind == Part::kSumInteger) {
        const Int128 sum = page.Array<Int128>(*part)[slot];
        if (use.kind == Aggregate::kAvg) {
          column.AppendDouble(RoundedQuotient(sum, static_cast<uint64_t>(count)));
        } else if (use.type == Type::kNumeric) {
          column.AppendNumeric(sum);
        } else {
          // It takes more than 2^32 events of the largest int in one group to get here.
          MILLRACE_CHECK(sum >= std::numeric_limits<int64_t>::min() &&
                             sum <= std::numeric_limits<int64_t>::max(),
                         "a sum of ints passes bigint");
          column.AppendInteger(static_cast<int64_t>(sum));
        }
      } else if (part->kind == Part::kSumDouble) {
        const uint64_t n = use.kind == Aggregate::kAvg ? static_cast<uint64_t>(count) : 1;
        column.AppendDouble(page.Array<ExactSum>(*part)[slot].Rounded(n, page.wides));
      } else if (part->type == Type::kText) {
        column.AppendText(page.Text(*part, slot).value);
      } else {
        WithExtremum(part->type, [&]<typename T>(T) {
          if constexpr (std::is_same_v<T, double>) {
            column.AppendDouble(page.Array<T>(*part)[slot]);
          } else {
            column.AppendInteger(page.Array<T>(*part)[slot]);
          }
        });
      }
    }
    out->push_back(std::move(column));
  }
}

void EncodeSlot(const AccumulatorPlan& plan, const Page& page, uint32_t slot, std::string* out) {
  ByteWriter w(out);
  for (const Part& part : plan.parts) {
    switch (part.kind) {
      case Part::kCount:
        w.Varint(static_cast<uint64_t>(page.Array<int64_t>(part)[slot]));
        break;
      case Part::kSumInteger:
        w.Fixed(page.Array<Int128>(part)[slot]);
        break;
      case Part::kSumDouble:
        page.Array<ExactSum>(part)[slot].Encode(out, page.wides);
        break;
      default:
        if (part.type == Type::kText) {
          w.Fixed(page.Text(part, slot).set);
          w.Text(page.Text(part, slot).value);
        } else {
          WithExtremum(part.type, [&]<typename T>(T) { w.Fixed(page.Array<T>(part)[slot]); });
        }
    }
  }
}

bool DecodeSlot(const AccumulatorPlan& plan, ByteReader* in, Page* page, uint32_t slot) {
  for (const Part& part : plan.parts) {
    switch (part.kind) {
      case Part::kCount:
        page->Array<int64_t>(part)[slot] = static_cast<int64_t>(in->Varint());
        break;
      case Part::kSumInteger:
        page->Array<Int128>(part)[slot] = in->Fixed<Int128>();
        break;
      case Part::kSumDouble:
        if (!page->Array<ExactSum>(part)[slot].Decode(in, &page->wides)) return false;
        break;
      default:
        if (part.type == Type::kText) {
          page->Text(part, slot).set = in->Fixed<uint8_t>() != 0;
          page->Text(part, slot).value = in->Text();
        } else {
          WithExtremum(part.type,
                       [&]<typename T>(T) { page->Array<T>(part)[slot] = in->Fixed<T>(); });
        }
    }
  }
  return in->ok();
}

}  // namespace millrace::window
