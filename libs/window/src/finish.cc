#include <limits>

#include "accumulators.h"
#include "millrace/base/check.h"
#include "part_loops.h"

namespace millrace::window {
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
