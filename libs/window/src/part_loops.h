#pragma once

#include <bit>
#include <cmath>
#include <span>
#include <vector>

#include "accumulators.h"
#include "millrace/base/check.h"

namespace millrace::window {

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

/// A double as min and max keep it: one NaN, no -0.
inline double Canonical(double v) {
  if (std::isnan(v)) return std::bit_cast<double>(uint64_t{0x7ff8000000000000});
  return v + 0.0;
}

/// Adds values of a batch to the accumulators of their groups.
void UpdateParts(const AccumulatorPlan& plan, std::span<const Target> targets,
                 const std::vector<InputRows>& inputs);
/// Adds accumulators to accumulators.
void MergeParts(const AccumulatorPlan& plan, std::span<const Move> moves);

}  // namespace millrace::window
