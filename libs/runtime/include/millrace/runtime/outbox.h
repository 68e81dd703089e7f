#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/executor.h"
#include "millrace/checkpoint/owed_rows.h"
#include "millrace/model/row.h"
#include "millrace/resultfile/result_file.h"
#include "millrace/window/shard_fold.h"

namespace millrace::runtime {

/// Rows of a shard's outputs on their way to the sinks. The rows are a function of the log; how far
/// each sink has come is known by the sink alone. Rows at or below a sink's position are dropped,
/// whether a replay makes them again or they come from a manifest. A row that serves two sinks is
/// held once, until both have it.
///
/// Threads: the shard's executor. Bound: full() is for the reader to stop at; kMostMarks.
class Outbox {
 public:
  explicit Outbox(size_t max_bytes) : max_bytes_(max_bytes) {}

  /// Rows that the fold made.
  void Push(window::OutputRows rows);
  /// Rows that a manifest owed, and the object that holds them.
  void Restore(const checkpoint::OwedRows& rows, const checkpoint::OwedObject& object);

  /// The sink of `output` has everything up to `row`, which this shard has made.
  void SetApplied(Output output, const LastRow& row);
  const LastRows& applied() const { return applied_; }
  /// The same of the outputs that have tables; of files nothing.
  LastRows served() const;
  int64_t applied(Output output) const { return applied_[static_cast<size_t>(output)].seq; }
  int64_t made(Output output) const { return made_[static_cast<size_t>(output)]; }

  /// The store of `output` says that it has everything up to `row`. Nothing behind it is kept from
  /// now on, but that it is a row of this shard is unproved until the shard has made the row of
  /// that number itself, with the same chain hash.
  void Believe(Output output, const LastRow& row);
  /// A checkpoint knows `row`, which is not among the rows that it owes.
  void Compare(Output output, const LastRow& row);
  /// Skips have decided on the rows up to these numbers, whatever they are: they need no proof.
  void Settle(const OutputSeqs& seqs);
  int64_t settled(Output output) const { return settled_[static_cast<size_t>(output)]; }
  bool proved() const { return unproved_.empty(); }
  /// A row that the store holds and that this shard makes otherwise.
  struct Other {
    Output output;
    LastRow held;
    Hash128 made;
  };
  const std::optional<Other>& other() const { return other_; }
  /// What is unproved, by output.
  const std::map<Output, LastRow>& unproved() const { return unproved_; }

  /// All rows that the shard owes up to its watermark are made.
  void Reached(Micros watermark);
  /// The largest of these watermarks for which the serving store has every row.
  Micros applied_watermark() const { return applied_watermark_; }

  /// Rows of the served outputs behind what their store has, decoded, and where it stands when it
  /// has these too.
  struct Batch {
    LastRows to;
    std::vector<OutputRow> rows;
  };
  Batch Next(size_t limit) const;
  /// The first finished file that its sink does not have.
  struct File {
    OutputRow end;      ///< its end mark
    int64_t first = 0;  ///< number of its first row that the sink does not have
    Hash128 hash;       ///< chain hash of its last row
    /// The rows from there on, decoded when asked for. Shares the bytes.
    std::shared_ptr<FileRows> rows;
  };
  std::optional<File> NextFile() const;

  /// What a manifest must name: objects of before, and rows that no object holds yet or that leave
  /// small ones (docs/adr/0015). Shares the bytes, which change no more.
  checkpoint::Owed Owed();
  /// A commit counts that names `object` for rows which Owed() gave out.
  void Saved(const checkpoint::NewOwed& rows, const checkpoint::OwedObject& object);

  /// The objects that hold rows of it may be gone: the next manifest names others.
  void ForgetObjects();

  bool full() const;
  size_t rows_owed(Output output) const;
  /// Notified when rows come or go.
  Event& changed() { return changed_; }

 private:
  /// window::OutputRows, or several behind one another.
  struct Piece {
    Output output = Output::kResults;
    OutputSeqs last = {};
    int64_t last_file_end = 0;
    Hash128 before;  ///< chain hashes, as window::OutputRows has them
    Hash128 after;
    /// Shared with manifests being written; appended to in place only while nobody shares it.
    std::shared_ptr<std::string> bytes;
    bool closed = false;  ///< a cut has seen it: it takes no more rows
    std::shared_ptr<const checkpoint::OwedObject> object;  ///< which a valid commit names; or none
    int64_t number = 0;                                    ///< given by Owed(), ascending
  };

  /// A skip lies between rows that do not continue one another's chain.
  static bool Continues(const Piece& rows, const Piece& to) { return rows.before == to.after; }
  static void Append(const Piece& rows, Piece* to);
  void Add(Piece rows);
  /// Calls f(row, chain hash of its output up to it) for rows and ends of files, while it gives
  /// true.
  template <typename F>
  static void Walk(const Piece& piece, F&& f);
  void Prove(const Piece& rows);
  size_t FirstToWrite() const;
  bool Serves(const OutputSeqs& made) const;
  void MergeFrom(size_t first);
  bool Owes(const Piece& piece, Output output) const;
  bool Owes(const Piece& piece) const;

  size_t max_bytes_;
  /// In the order of every output; those of an object stand together, before all that have none.
  std::deque<Piece> pieces_;
  int64_t numbers_ = 0;
  LastRows applied_ = {};
  std::map<Output, LastRow> unproved_;
  std::optional<Other> other_;
  OutputSeqs settled_ = {};
  OutputSeqs made_ = {};
  /// A watermark, and the rows made when the shard had reached it.
  struct Mark {
    Micros watermark;
    OutputSeqs made;
  };
  std::deque<Mark> marks_;  ///< whose rows the serving store lacks, ascending
  Micros applied_watermark_ = kMinusInfinity;
  Event changed_;
};

}  // namespace millrace::runtime
