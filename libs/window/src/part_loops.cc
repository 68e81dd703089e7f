#include "part_loops.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace millrace::window {
namespace {

// NaN is the largest.
double Smaller(double a, double b) { return std::isnan(a) || b < a ? b : a; }
double Larger(double a, double b) { return std::isnan(b) || b > a ? b : a; }

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

template <typename T>
T& Cell(char* cells, size_t offset) {
  return *reinterpret_cast<T*>(cells + offset);
}
template <typename T>
const T& Cell(const char* cells, size_t offset) {
  return *reinterpret_cast<const T*>(cells + offset);
}

/// One pass over the rows for all parts of a lane and, if it is not kNoPart, the count of all rows
/// (`every`, for a lane that takes every row).
template <typename T>
void UpdateLane(std::span<const Target> targets, const Lane lane, size_t every, const Vec v,
                const uint8_t* take) {
  const auto run = [=](auto taken) {
    for (const Target& t : targets) {
      if (!taken(t.row)) continue;
      const T x = v.At<T>(t.row);
      if (every != kNoPart) ++Cell<int64_t>(t.cells, every);
      if (lane.count != kNoPart) ++Cell<int64_t>(t.cells, lane.count);
      if (lane.sum != kNoPart) Cell<Int128>(t.cells, lane.sum) += x;
      if (lane.least != kNoPart) {
        T& least = Cell<T>(t.cells, lane.least);
        least = std::min(least, x);
      }
      if (lane.largest != kNoPart) {
        T& largest = Cell<T>(t.cells, lane.largest);
        largest = std::max(largest, x);
      }
    }
  };
  if (take == nullptr) {
    run([](uint32_t) { return true; });
  } else {
    run([take](uint32_t row) { return take[row] != 0; });
  }
}

template <typename T>
void MergeLane(std::span<const Move> moves, const Lane lane, size_t every) {
  for (const Move& m : moves) {
    const char* const from = m.from_cells;
    char* const to = m.to_cells;
    if (every != kNoPart) Cell<int64_t>(to, every) += Cell<int64_t>(from, every);
    if (lane.count != kNoPart) Cell<int64_t>(to, lane.count) += Cell<int64_t>(from, lane.count);
    if (lane.sum != kNoPart) Cell<Int128>(to, lane.sum) += Cell<Int128>(from, lane.sum);
    if (lane.least != kNoPart) {
      T& least = Cell<T>(to, lane.least);
      least = std::min(least, Cell<T>(from, lane.least));
    }
    if (lane.largest != kNoPart) {
      T& largest = Cell<T>(to, lane.largest);
      largest = std::max(largest, Cell<T>(from, lane.largest));
    }
  }
}

void KeepText(Part::Kind kind, std::string_view v, TextCell* cell) {
  if (cell->set && (kind == Part::kMin ? v >= cell->value : v <= cell->value)) return;
  cell->set = true;
  cell->value = v;
}

}  // namespace

void UpdateParts(const AccumulatorPlan& plan, std::span<const Target> targets,
                 const std::vector<InputRows>& inputs) {
  size_t every = plan.every;
  for (const Lane& lane : plan.lanes) {
    const InputRows& in = inputs[static_cast<size_t>(lane.input)];
    const size_t with = in.take == nullptr ? std::exchange(every, kNoPart) : kNoPart;
    if (lane.type == Type::kInt) {
      UpdateLane<int32_t>(targets, lane, with, in.value, in.take);
    } else {
      UpdateLane<int64_t>(targets, lane, with, in.value, in.take);
    }
  }
  if (every != kNoPart) {
    for (const Target& t : targets) ++Cell<int64_t>(t.cells, every);
  }
  for (const Part& part : plan.apart) {
    const InputRows& in = inputs[static_cast<size_t>(part.input)];
    const Vec v = in.value;
    switch (part.kind) {
      case Part::kCount:
        ForEach<int64_t>(targets, part, in.take, [](int64_t& n, const Target&) { ++n; });
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
        if (part.kind == Part::kMin) {
          ForEach<double>(targets, part, in.take, [v](double& m, const Target& t) {
            m = Smaller(m, Canonical(v.At<double>(t.row)));
          });
        } else {
          ForEach<double>(targets, part, in.take, [v](double& m, const Target& t) {
            m = Larger(m, Canonical(v.At<double>(t.row)));
          });
        }
    }
  }
}

void MergeParts(const AccumulatorPlan& plan, std::span<const Move> moves) {
  size_t every = plan.every;
  for (const Lane& lane : plan.lanes) {
    const size_t with = std::exchange(every, kNoPart);
    if (lane.type == Type::kInt) {
      MergeLane<int32_t>(moves, lane, with);
    } else {
      MergeLane<int64_t>(moves, lane, with);
    }
  }
  if (every != kNoPart) {
    for (const Move& m : moves)
      Cell<int64_t>(m.to_cells, every) += Cell<int64_t>(m.from_cells, every);
  }
  for (const Part& part : plan.apart) {
    switch (part.kind) {
      case Part::kCount:
        ForEach<int64_t>(moves, part, [](int64_t& to, int64_t x, const Move&) { to += x; });
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
        if (part.kind == Part::kMin) {
          ForEach<double>(moves, part,
                          [](double& to, double x, const Move&) { to = Smaller(to, x); });
        } else {
          ForEach<double>(moves, part,
                          [](double& to, double x, const Move&) { to = Larger(to, x); });
        }
    }
  }
}

}  // namespace millrace::window
