#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "eval.h"
#include "exact_sum.h"
#include "key_table.h"
#include "millrace/base/bytes.h"
#include "millrace/model/batch.h"
#include "millrace/model/spec.h"

namespace millrace::window {

inline constexpr uint32_t kPageSlots = 256;
inline constexpr uint32_t kNoSlot = ~uint32_t{0};

/// One physical accumulator. Aggregates share them: avg(x) is the sum and the count of sum(x) and
/// count(x).
struct Part {
  enum Kind : uint8_t { kCount, kSumInteger, kSumDouble, kMin, kMax } kind;
  Type type;      ///< of the argument; kBigint for counts
  int input;      ///< index into AccumulatorPlan::inputs, or -1: every row
  size_t offset;  ///< of its array in a page
  int text;       ///< index of its texts in a page, or -1

  friend bool operator==(const Part&, const Part&) = default;
};

/// Evaluated argument of one input in a batch: the value and whether the row counts.
struct InputRows {
  Vec value;
  const uint8_t* take = nullptr;  ///< one byte a row; nullptr: all
};

/// How a pipeline's aggregates lie in memory and which expressions feed them.
struct AccumulatorPlan {
  explicit AccumulatorPlan(const std::vector<AggregateSpec>& aggregates);

  struct Input {
    std::optional<Expr> argument;
    std::optional<Expr> filter;
    friend bool operator==(const Input&, const Input&) = default;
  };
  struct Use {
    Aggregate kind;
    Type type;       ///< of the result
    int value = -1;  ///< part with the value, or -1
    int count = -1;  ///< part that counts the rows the value saw
  };

  std::vector<Input> inputs;
  std::vector<Part> parts;
  std::vector<Use> uses;  ///< one per aggregate
  size_t page_bytes = 0;
  int texts = 0;

 private:
  int AddInput(const AggregateSpec& a);
  int AddPart(Part::Kind kind, Type type, int input);
};

struct TextCell {
  bool set = false;
  std::string value;
};

/// Accumulators of up to kPageSlots groups, struct of arrays. Copied on write: a page of an older
/// epoch belongs to a freeze.
struct Page {
  uint64_t epoch = 0;
  uint32_t keys[kPageSlots] = {};
  std::vector<Int128> cells;
  std::vector<TextCell> texts;
  ExactSum::Wides wides;

  template <typename T>
  T* Array(const Part& part) {
    return reinterpret_cast<T*>(reinterpret_cast<char*>(cells.data()) + part.offset);
  }
  template <typename T>
  const T* Array(const Part& part) const {
    return reinterpret_cast<const T*>(reinterpret_cast<const char*>(cells.data()) + part.offset);
  }
  TextCell& Text(const Part& part, uint32_t slot) {
    return texts[static_cast<size_t>(part.text) * kPageSlots + slot];
  }
  const TextCell& Text(const Part& part, uint32_t slot) const {
    return texts[static_cast<size_t>(part.text) * kPageSlots + slot];
  }
};

/// A change waiting to be applied: a row of the batch at hand goes to a slot.
struct Pending {
  uint32_t row;
  uint32_t slot;
};

/// Accumulators by group key: a slice, a window being combined, a stack entry.
class GroupTable {
 public:
  /// `plan` must outlive the table.
  explicit GroupTable(const AccumulatorPlan* plan) : plan_(plan) {}

  uint32_t size() const { return size_; }
  uint32_t Find(KeyTable::Id key) const { return key < slots_.size() ? slots_[key] : kNoSlot; }
  /// The slot of a key, made if absent (*added), on a page that may be written in `epoch`.
  uint32_t FindOrAdd(KeyTable::Id key, uint64_t epoch, bool* added);
  KeyTable::Id KeyAt(uint32_t slot) const {
    return pages_[slot / kPageSlots]->keys[slot % kPageSlots];
  }
  void Clear();

  /// Adds the rows' values. Every slot must have come from FindOrAdd in this epoch.
  void Update(const std::vector<Pending>& pending, const std::vector<InputRows>& inputs);
  /// Adds accumulators of another table: pairs of (its slot, slot of this table), slots made in
  /// `epoch`.
  struct SlotPair {
    uint32_t from;
    uint32_t to;
  };
  void Merge(const GroupTable& from, const std::vector<SlotPair>& pairs);
  /// All of another table.
  void MergeAll(const GroupTable& from, uint64_t epoch);

  /// Values of the aggregates in `slots`, one column each appended to `out`.
  void Finish(const std::vector<uint32_t>& slots, std::vector<ColumnData>* out) const;

  const std::vector<std::shared_ptr<Page>>& pages() const { return pages_; }
  const AccumulatorPlan& plan() const { return *plan_; }
  size_t bytes() const {
    return pages_.size() * plan_->page_bytes + slots_.size() * sizeof(uint32_t);
  }

 private:
  const AccumulatorPlan* plan_;
  std::vector<std::shared_ptr<Page>> pages_;
  std::vector<uint32_t> slots_;  ///< by key id
  uint32_t size_ = 0;
};

/// The stored form of one group's accumulators.
void EncodeSlot(const AccumulatorPlan& plan, const Page& page, uint32_t slot, std::string* out);
bool DecodeSlot(const AccumulatorPlan& plan, ByteReader* in, Page* page, uint32_t slot);

}  // namespace millrace::window
