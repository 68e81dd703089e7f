#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "accumulators.h"
#include "combiner.h"
#include "dedup.h"
#include "eval.h"
#include "key_table.h"
#include "logged_time.h"
#include "millrace/window/assigner.h"
#include "millrace/window/shard_fold.h"
#include "row_writer.h"

namespace millrace::window {

/// Every this many events read since the last pulse there is one (semantics rule 8).
inline constexpr int64_t kEventsPerPulse = 10'000;

/// What has been emitted for one group of a closed window that late events may still change.
struct RowState {
  int64_t revision = 0;
  int64_t result_seq = 0;
  bool stands = false;   ///< the last revision is a row, not a deletion
  bool failed = false;   ///< the last evaluation failed
  bool pending = false;  ///< changed since the last revision

  void Encode(ByteWriter* w) const;
  void Decode(ByteReader* r);
};

/// A window with end <= W < end + allowed_lateness.
struct ClosedWindow {
  Span window;
  // Looked up by id; walked only through sorted ids.
  using Rows = std::unordered_map<KeyTable::Id, RowState>;  // lint: order-free
  Rows rows;
  std::vector<KeyTable::Id> pending;
  bool dirty = true;
};

/// The file that file rows go into now.
struct OpenFile {
  bool open = false;
  Micros interval_start = 0;
  int64_t first_seq = 0;
  int64_t rows = 0;
  int64_t bytes = 0;
};

/// emit = 'updates': per open window what stands provisionally and what changed since the last
/// pulse.
struct Provisional {
  std::map<Micros, std::set<KeyTable::Id>> changed;   ///< by slice start
  std::map<Micros, std::set<KeyTable::Id>> standing;  ///< by window end
};

/// Evaluated result rows of some groups of one window.
struct GroupRows {
  enum Status : uint8_t { kHolds, kWithheld, kFailed };
  std::vector<Status> status;
  std::vector<Column> select;     ///< one per SELECT column
  std::vector<ColumnData> group;  ///< group columns, window_start, window_end, aggregates
  std::vector<ColumnData> storage;
  std::string values;  ///< encoded, row by row
  std::vector<size_t> ends;

  std::string_view Values(size_t row) const {
    const size_t begin = row == 0 ? 0 : ends[row - 1];
    return std::string_view(values).substr(begin, ends[row] - begin);
  }
};

/// The record (and row) being applied: what output rows name as their cause.
struct Cause {
  Offset offset;
  int32_t row = 0;
  Micros append_time = 0;
};

struct ShardFold::State {
  explicit State(FoldSpec s);

  // Logged time, moved on by each record before the record itself counts (shard_fold.cc).
  void BeginRecord(Micros append_time);
  void PassTime(Micros elapsed);

  // Input, one batch at a time (add.cc).
  struct Columns;
  /// Where the folding of a batch stands.
  struct Place {
    size_t record = 0;
    uint32_t row = 0;  ///< of the batch
  };
  void Add(const EventBatch& batch);
  bool AddRows(const EventBatch& batch, Place* at);
  void Continue();
  bool Emitting() const { return emission.under_way || rest.has_value(); }
  bool OutputFull() const { return output_bytes >= spec.output_bytes; }
  void Evaluate(const EventBatch& batch);
  void FindOutcomes(const EventBatch& batch);
  uint32_t ApplyRun(const EventBatch& batch, const RecordSpan& record, uint32_t first,
                    uint32_t end);
  uint32_t ApplyStraightRun(const EventBatch& batch, const Micros* times, uint32_t first,
                            uint32_t end, Micros append, Micros ahead);
  void ApplyRow(const EventBatch& batch, const RecordSpan& record, uint32_t row);
  void Assign(const EventBatch& batch, uint32_t row);
  Slice* FindSlice(Micros t);
  Slice* MakeSlice(Span span);
  KeyTable::Id InternKey(uint32_t row);
  void Touch(Slice* slice);
  void MarkLateKey(Slice* slice, KeyTable::Id key);
  void Quarantine(const EventBatch& batch, uint32_t row, Reason reason, std::string_view detail);
  void Late(const EventBatch& batch, uint32_t row, int64_t missed, Micros first_end,
            Micros last_end);
  void ApplyPending();
  /// Why an event, a group of the chunk at hand, failed: the first expression in the order of
  /// docs/semantics.md.
  std::string EventFailure(size_t row);
  std::string GroupFailure(size_t row);
  template <typename Text>
  std::string Failure(std::string_view clause, const Evaluator& evaluator, const Expr& expr,
                      size_t row, Text&& text);

  // Output (emit.cc).
  /// What one record makes due for one window.
  struct Work {
    Span window;
    bool closes = false;   ///< first result of every group
    bool expires = false;  ///< last chance; rows go to the files
    bool revises = false;  ///< pending groups are emitted again
  };
  /// What one record makes due, and how much of it has been given out.
  struct Emission {
    bool under_way = false;
    Micros before = 0;  ///< the watermark before the record
    bool pulse = false;
    bool may_end_idle_file = false;
    std::map<Micros, Work> work;         ///< by window end, those left
    std::map<Micros, Span> provisional;  ///< windows of provisional rows by end, those left
    bool window_begun = false;           ///< the members below are those of the first one left
    std::vector<KeyTable::Id> ids;       ///< its groups that are due, in order
    size_t next = 0;                     ///< the first of them that is left
    ClosedWindow* standing = nullptr;
  };
  void Emit(Micros before, bool pulse, bool may_end_idle_file);
  bool EmitMore();
  template <typename F>
  void ForEachHeldWindow(Micros low, Micros high, F&& f) const;
  void BeginWindow(const Work& work);
  bool EmitRows(const Work& work);
  void EndWindow(const Work& work);
  void FindProvisional();
  void BeginProvisional(const Span& window);
  bool EmitProvisional(const Span& window);
  void EndEmission();
  void Evaluate(const Span& window, const KeyTable::Id* ids, size_t n, GroupRows* rows);
  void EmitResult(const Work& work, Micros interval_start, KeyTable::Id key, const GroupRows& rows,
                  size_t row, RowState* state);
  void Gather(const Span& window, bool all, Combiner* combiner, std::vector<KeyTable::Id>* ids);
  void AllKeys(std::vector<KeyTable::Id>* ids);
  void RowFailed(const Span& window, KeyTable::Id key, std::string_view detail);
  void DeleteProvisional(const Span& window, KeyTable::Id key);
  void FileRow(Micros interval_start, KeyTable::Id key, const RowState& state,
               std::string_view values);
  int64_t NextFileSeq(Micros interval_start);
  void CountFileRow(size_t bytes);
  void EndFile();
  void DropSlices();
  void UpdateDeadline();
  void LowerDeadline(const Slice& slice);
  Micros LargestHeldBound() const;
  bool InGap(const Span& window) const;
  void BeginRows(const Span& window);
  OutputRow NewRow(Output output);
  void Push(const OutputRow& row);
  size_t Push(const RowWriter::Row& row);
  OutputRows& Piece(Output output);
  void EndRow(Output output, int64_t seq, std::string_view bytes, OutputRows* piece);

  FoldSpec spec;
  Assigner assigner;
  AccumulatorPlan plan;
  Micros lateness;
  std::vector<Type> key_types;

  // State proper: what a freeze stores.
  LoggedTime time;
  ProducerTable producers;
  KeyTable keys;
  Slices slices;
  std::map<Micros, ClosedWindow> closed;  ///< by end
  Provisional provisional;
  OpenFile file;
  Ledger ledger;
  int64_t events_since_pulse = 0;
  struct Gap {
    Micros from = 0;
    Micros until = kPlusInfinity;  ///< infinity: no event was admitted since
  };
  std::vector<Gap> gaps;  ///< dropped when no window can overlap them any more
  int64_t seqs[kOutputs + 1] = {};
  Hash128 chains[kOutputs + 1] = {};  ///< of the last rows

  // Derived.
  Micros deadline = kPlusInfinity;  ///< the least W at which something must be emitted
  Combiner close_combiner;
  Combiner expire_combiner;
  uint64_t epoch = 1;
  std::vector<std::pair<std::string, std::string>>
      dropped;                  ///< state ranges gone since the last freeze
  Slice* current = nullptr;     ///< the slice used last
  std::vector<Slice*> touched;  ///< slices with pending rows
  Cause cause;
  Emission emission;
  struct Rest {
    EventBatch batch;
    Place at;
  };
  std::optional<Rest> rest;  ///< of a batch whose first rows have filled the output
  std::vector<OutputRows> output;
  size_t output_bytes = 0;
  size_t pieces[kOutputs + 1] = {};  ///< by output: 1 + the index of its last piece, 0: none

  // Per-batch columns (Evaluate).
  std::optional<Evaluator> where;
  struct InputEvaluators {
    std::optional<Evaluator> argument;
    std::optional<Evaluator> filter;
  };
  std::vector<InputEvaluators> input_evaluators;
  std::vector<Evaluator> key_evaluators;
  std::optional<Evaluator> having;
  std::vector<Evaluator> select;
  Vec where_rows;
  std::vector<InputRows> inputs;
  std::vector<std::vector<uint8_t>> takes;
  std::vector<ColumnData> key_storage;
  std::vector<Column> key_columns;
  std::string key_bytes;
  std::vector<uint32_t> key_ends;
  std::vector<uint64_t> key_hashes;
  std::vector<KeyTable::Id> key_ids;  ///< kNone: not interned when the batch began
  std::vector<uint8_t> row_errors;    ///< 1: a key, filter or argument failed; empty: none
  /// What becomes of a row unless it is a duplicate or too far ahead; kApart: judged apart.
  enum Outcome : uint8_t { kApart, kFiltered, kTaken };
  std::vector<Outcome> outcomes;
  bool some_apart = false;     ///< an outcome is kApart
  bool some_filtered = false;  ///< an outcome may be kFiltered
  std::vector<ProducerState*> batch_producers;
  RowWriter row_writer;
  /// The text of each part of `spec` that has failed. It is made once: every failed row shows it.
  std::map<const Expr*, std::string> failed_texts;

  // Per emitted window.
  std::vector<KeyTable::Id> added;         ///< groups new in a slice
  std::vector<const GroupTable*> sources;  ///< their sum is the window (Gather)
  Page gathered;                           ///< the groups at hand, summed
  std::vector<std::string_view> gathered_keys;
  std::vector<Column> gathered_columns;
  GroupRows rows;
  std::string null_values;  ///< of a deletion
};

/// Calls f with every window that holds events, starts after the fold's start and ends in (low,
/// high], ascending. Skips from slice to slice, so a jump over empty time costs nothing.
template <typename F>
void ShardFold::State::ForEachHeldWindow(Micros low, Micros high, F&& f) const {
  for (Micros after = low; after < high && !slices.empty();) {
    Span window = after == kMinusInfinity ? slices.begin()->second.first_window
                                          : assigner.FirstWindowEndingAfter(after);
    const auto at = slices.lower_bound(window.start);
    if (at == slices.end()) return;
    if (at->second.span.end > window.end) window = at->second.first_window;
    if (window.end > high) return;
    if (window.start >= spec.not_before) f(window);
    after = window.end;
  }
}

}  // namespace millrace::window
