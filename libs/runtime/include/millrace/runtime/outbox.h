#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "millrace/base/executor.h"
#include "millrace/checkpoint/manifest.h"
#include "millrace/model/row.h"
#include "millrace/window/shard_fold.h"

namespace millrace::runtime {

/// Rows of a shard's outputs on their way to the sinks. The rows are a function of the log; how far
/// each sink has come is known by the sink alone. Rows at or below a sink's position are dropped,
/// whether a replay makes them again or they come from a manifest. A row that serves two sinks is
/// held once, until both have it.
///
/// Threads: the shard's executor. Bound: full() is for the reader to stop at.
class Outbox {
 public:
  explicit Outbox(size_t max_bytes) : max_bytes_(max_bytes) {}

  /// Rows that the fold made.
  void Push(window::OutputRows rows);
  /// Rows that a manifest owed.
  void Restore(const checkpoint::OwedRows& rows);

  /// The sink of `output` has everything up to `seq`; also the way to say where it is at first.
  void SetApplied(Output output, int64_t seq);
  int64_t applied(Output output) const { return applied_[static_cast<size_t>(output)]; }
  int64_t made(Output output) const { return made_[static_cast<size_t>(output)]; }

  /// Up to `limit` rows behind the sink's position, decoded. For files: rows and end marks up to
  /// the first end mark; none if no file is finished.
  std::vector<OutputRow> Next(Output output, size_t limit) const;

  /// What a manifest must hold. Shares the bytes.
  std::vector<checkpoint::OwedRows> Owed() const;

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
    /// Shared with manifests being written; appended to in place only while nobody shares it.
    std::shared_ptr<std::string> bytes;
  };

  void Add(Piece rows);
  bool Owes(const Piece& piece, Output output) const;
  bool Owes(const Piece& piece) const;
  bool HasFinishedFile() const;

  size_t max_bytes_;
  std::deque<Piece> pieces_;  ///< in the order of every output
  OutputSeqs applied_ = {};
  OutputSeqs made_ = {};
  Event changed_;
};

}  // namespace millrace::runtime
