#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "millrace/base/hash.h"
#include "millrace/base/result.h"
#include "millrace/model/batch.h"
#include "millrace/model/row.h"
#include "millrace/model/spec.h"

namespace millrace::window {

/// What one shard folds.
struct FoldSpec {
  StreamSpec stream;
  PipelineSpec pipeline;
  PartitionId partition;
  /// Windows that start before it are not emitted (rule 11); -infinity for start = earliest.
  Micros not_before = kMinusInfinity;
  /// Rows are given out in parts of this size. It can change no row and no order.
  size_t output_bytes = 4 << 20;
};

/// Counts of everything that was read; it must balance at every cut. Its memory is stored as it is
/// in the state and in manifests: a change raises both formats' versions.
struct Ledger {
  int64_t read = 0, duplicate = 0, quarantined = 0, filtered = 0, before_start = 0, late = 0,
          aggregated = 0;
  int64_t assigned = 0, taken = 0, too_late = 0, before_start_pairs = 0, accepted_late = 0;
  int64_t due = 0, emitted = 0, withheld = 0, row_errors = 0;
  int64_t control = 0, ignored_ticks = 0;
  int64_t skipped = 0;  ///< records passed over by a logged skip; outside the balance

  bool Balanced() const {
    return read == duplicate + quarantined + filtered + before_start + late + aggregated &&
           assigned == taken + too_late + before_start_pairs &&
           due == emitted + withheld + row_errors;
  }
  /// Every counter of the balance, `control` and `ignored_ticks`, with names, in the order above.
  std::vector<std::pair<std::string_view, int64_t>> Counters() const;
};
static_assert(std::is_trivially_copyable_v<Ledger> && sizeof(Ledger) == 19 * sizeof(int64_t) &&
              offsetof(Ledger, assigned) == 7 * sizeof(int64_t) &&
              offsetof(Ledger, due) == 12 * sizeof(int64_t) &&
              offsetof(Ledger, skipped) == 18 * sizeof(int64_t));

/// Rows in the order of an output, encoded (docs/formats/row.md); a large output comes in several
/// such pieces. Without allowed lateness a result is final at once: then pieces of results hold the
/// file rows too, and the end marks of files stand among them.
struct OutputRows {
  Output output = Output::kResults;
  std::string bytes;
  OutputSeqs last = {};       ///< of the outputs that have rows or end marks here; 0: it has none
  int64_t last_file_end = 0;  ///< last row of the last file that ends here; 0: none does
  /// Chain hashes of `output` before the first row and of the last one. Where pieces of results
  /// hold the file rows too, they are those of files as well.
  Hash128 before = {};
  Hash128 after = {};
};

/// One atomic change of the stored state; ranges are half-open, puts ascend by key.
struct StateChange {
  std::vector<std::pair<std::string, std::string>> delete_ranges;
  std::vector<std::pair<std::string, std::string>> puts;
};

/// The hash of the whole stored state, kept up to date from changes alone: an order-free sum over
/// logical rows.
class StateHash {
 public:
  const Hash128& total() const { return total_; }

 private:
  friend class FrozenFold;
  void Set(const std::string& unit, const Hash128& hash);
  void EraseRange(const std::string& begin, const std::string& end);

  std::map<std::string, Hash128> units_;
  Hash128 total_;
};

/// A fold's state at one moment, unchanged by what the fold does later. Taking one costs O(pages);
/// NextChanges() does the work and may run on any thread, one call at a time.
class FrozenFold {
 public:
  struct Content;
  explicit FrozenFold(std::unique_ptr<Content> content);
  FrozenFold(FrozenFold&&) noexcept;
  FrozenFold& operator=(FrozenFold&&) noexcept;
  ~FrozenFold();

  /// The next part of what to write over the state of the freeze before (over nothing, if
  /// everything was asked for): `bytes` of it, and what a page has beyond. Nothing: all of it was
  /// given. *hash, that of the freeze before at first, is then the hash of the state.
  std::optional<StateChange> NextChanges(StateHash* hash, size_t bytes);

 private:
  std::unique_ptr<Content> content_;
};

/// A producer whose events count once.
struct KnownProducer {
  std::string id;
  int64_t end = 0;  ///< the number behind the largest that was read
};

/// Turns a partition's records into windowed results, by the rules of docs/semantics.md. Holds no
/// clock, no I/O and no threads: the same records give the same bytes of state and output on every
/// machine, however they are batched and wherever the fold is frozen and restored.
///
/// Life: build, optionally Restore, then Add and Apply records in offset order until the shard
/// stops. One record can make any number of rows due. They come in parts: while emitting(), take
/// the output and Continue(); until then no other record, skip or freeze may follow. Threads: one
/// shard owns one fold; not safe to share. Errors: records never make it fail, they go to the
/// quarantine output. A broken invariant throws InvariantViolation.
class ShardFold {
 public:
  explicit ShardFold(FoldSpec spec);
  ~ShardFold();

  /// A batch of another schema than the stream's is a broken invariant.
  void Add(const EventBatch& batch);
  void Apply(const Tick& tick);
  void Apply(const Advance& advance);
  /// A logged skip: `records` are passed over and outputs go on from `first_seqs` (by output
  /// number), where these are larger; every chain hash takes the skip's epoch in. Rows of windows
  /// that overlap the gap, from the watermark to the first event time read after it, carry `gap`.
  void Skip(int64_t records, const std::vector<int64_t>& first_seqs, Epoch epoch);

  /// What was given last has rows to come: the output is full.
  bool emitting() const;
  /// Makes more of those rows. Take the output first.
  void Continue();
  /// Rows made since the last call: FoldSpec::output_bytes, and what a few groups or one event
  /// make beyond.
  std::vector<OutputRows> TakeOutput();

  const Ledger& ledger() const;
  Micros watermark() const;
  /// Largest event time admitted, as rule 3 counts it.
  Micros largest_event_time() const;
  /// The last valid tick, or Offset(-1).
  Offset last_tick() const;
  /// A window, a pending revision or an unfinished file is held, so time must go on in the log.
  bool needs_ticks() const;
  size_t open_windows() const;
  /// Of a principal, those whose ids begin with `prefix`, at most `most`.
  std::vector<KnownProducer> FindProducers(std::string_view principal, std::string_view prefix,
                                           size_t most) const;
  size_t state_bytes() const;
  /// Last number given out by an output; 0: none.
  int64_t last_seq(Output output) const;
  LastRows last_rows() const;

  /// `everything`: not only what changed since the last Freeze.
  FrozenFold Freeze(bool everything);
  /// Takes one stored entry into a fold that has read nothing; entries in key order. kCorruption:
  /// not an entry of this plan.
  Status Restore(std::string_view key, std::string_view value);
  /// Ends a restore; gives the hash of what was restored.
  StateHash FinishRestore();

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace millrace::window
