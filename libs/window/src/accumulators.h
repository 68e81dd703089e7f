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
  size_t offset;  ///< in a group's row
  int text;       ///< index of its texts in a page, or -1

  friend bool operator==(const Part&, const Part&) = default;
};

inline constexpr size_t kNoPart = ~size_t{0};

/// The parts over one input of integers, which one loop handles together: their offsets in a
/// group's row, kNoPart where there is none.
struct Lane {
  int input = -1;
  Type type = Type::kBigint;
  size_t count = kNoPart;
  size_t sum = kNoPart;
  size_t least = kNoPart;
  size_t largest = kNoPart;
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
  std::vector<Lane> lanes;    ///< all parts over integers and counts of such inputs
  size_t every = kNoPart;     ///< offset of the count of all rows
  std::vector<Part> apart;    ///< parts that are in no lane and not `every`
  std::vector<Use> uses;      ///< one per aggregate
  std::vector<Int128> fresh;  ///< the row of a group without values
  int texts = 0;

  /// Bytes of a group's row.
  size_t stride() const { return fresh.size() * sizeof(Int128); }

 private:
  int AddInput(const AggregateSpec& a);
  int AddPart(Part::Kind kind, Type type, int input);
  void SortIntoLanes();

  size_t used_ = 0;  ///< bytes of a row
};

struct TextCell {
  bool set = false;
  std::string value;
};

/// Accumulators of up to kPageSlots groups, a row each: an update touches one or two cache lines.
/// Copied on write: a page of an older epoch belongs to a freeze.
struct Page {
  Page(const AccumulatorPlan& plan, uint64_t epoch);
  /// Makes the groups 0 .. n - 1 fresh; no other may be in use.
  void Reset(const AccumulatorPlan& plan, size_t n);

  uint64_t epoch;
  size_t stride;
  std::vector<Int128> cells;
  uint32_t keys[kPageSlots] = {};
  std::vector<TextCell> texts;
  ExactSum::Wides wides;

  char* Row(uint32_t slot) { return reinterpret_cast<char*>(cells.data()) + slot * stride; }
  const char* Row(uint32_t slot) const {
    return reinterpret_cast<const char*>(cells.data()) + slot * stride;
  }
  template <typename T>
  T& At(const Part& part, uint32_t slot) {
    return *reinterpret_cast<T*>(Row(slot) + part.offset);
  }
  template <typename T>
  const T& At(const Part& part, uint32_t slot) const {
    return *reinterpret_cast<const T*>(Row(slot) + part.offset);
  }
  TextCell& Text(const Part& part, uint32_t slot) {
    return texts[static_cast<size_t>(part.text) * kPageSlots + slot];
  }
  const TextCell& Text(const Part& part, uint32_t slot) const {
    return texts[static_cast<size_t>(part.text) * kPageSlots + slot];
  }
};

/// A change waiting to be applied: a row of the batch at hand belongs to a group.
struct Pending {
  uint32_t row;
  KeyTable::Id key;
};

struct Move;

/// Accumulators by group key: a slice, or slices combined.
class GroupTable {
 public:
  /// `plan` must outlive the table.
  explicit GroupTable(const AccumulatorPlan* plan) : plan_(plan) {}

  uint32_t size() const { return size_; }
  bool Has(KeyTable::Id key) const { return Find(key) != kNoSlot; }
  KeyTable::Id KeyAt(uint32_t slot) const {
    return pages_[slot / kPageSlots]->keys[slot % kPageSlots];
  }
  /// Forgets all groups and keeps the memory for others. Only where no page is shared.
  void Clear();
  /// Becomes a copy of another table, in the memory at hand. Only where no page is shared.
  void Assign(const GroupTable& from);

  /// Adds the values of the rows to their groups, on pages that may be written in `epoch`. Keys of
  /// groups that were not there are appended to *added.
  void Update(const std::vector<Pending>& pending, const std::vector<InputRows>& inputs,
              uint64_t epoch, std::vector<KeyTable::Id>* added);
  /// Adds all of another table.
  void MergeAll(const GroupTable& from, uint64_t epoch);
  /// Copies the groups keys[0, n) to the rows 0 .. n - 1 of a page of which nothing else is in use,
  /// or adds them to what is there. An absent group is one without values. n <= kPageSlots.
  void CopyTo(const KeyTable::Id* keys, size_t n, Page* page) const;
  void AddTo(const KeyTable::Id* keys, size_t n, Page* page) const;

  /// Makes room for a group of a restore; false: it is there already.
  bool Insert(KeyTable::Id key, uint64_t epoch, Page** page, uint32_t* slot);

  const std::vector<std::shared_ptr<Page>>& pages() const { return pages_; }
  size_t bytes() const {
    return pages_.size() * plan_->stride() * kPageSlots + slots_.size() * sizeof(uint32_t);
  }

 private:
  uint32_t Find(KeyTable::Id key) const { return key < slots_.size() ? slots_[key] : kNoSlot; }
  /// Makes a group that is not there.
  uint32_t Add(KeyTable::Id key, uint64_t epoch);
  Page* Writable(uint32_t slot, uint64_t epoch) {
    auto& page = pages_[slot / kPageSlots];
    if (page->epoch != epoch) [[unlikely]]
      CopyPage(&page, epoch);
    return page.get();
  }
  /// Where the groups keys[0, n) that are here lie, and the rows of *to they belong to.
  size_t Places(const KeyTable::Id* keys, size_t n, Page* to, Move* moves) const;
  static void CopyPage(std::shared_ptr<Page>* page, uint64_t epoch);

  const AccumulatorPlan* plan_;
  std::vector<std::shared_ptr<Page>> pages_;
  std::vector<uint32_t> slots_;  ///< by key id
  uint32_t size_ = 0;
};

/// Values of the aggregates in rows 0 .. n - 1 of a page, appended to columns[0, aggregates).
void Finish(const AccumulatorPlan& plan, const Page& page, size_t n, ColumnData* columns);

/// The stored form of one group's accumulators.
void EncodeSlot(const AccumulatorPlan& plan, const Page& page, uint32_t slot, std::string* out);
bool DecodeSlot(const AccumulatorPlan& plan, ByteReader* in, Page* page, uint32_t slot);

}  // namespace millrace::window
