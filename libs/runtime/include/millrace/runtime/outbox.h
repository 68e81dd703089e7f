#pragma once

#include <array>
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
/// whether a replay makes them again or they come from a manifest.
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
  int64_t applied(Output output) const { return queue(output).applied; }
  int64_t made(Output output) const { return queue(output).made; }

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
  struct Chunk {
    int64_t first = 0;  ///< seq of its first row
    int64_t last = 0;   ///< of its last row, or of the row before its end mark
    /// Shared with manifests being written; appended to in place only while nobody shares it.
    std::shared_ptr<std::string> bytes;
  };
  struct Queue {
    std::deque<Chunk> chunks;
    int64_t applied = 0;
    int64_t made = 0;
    int64_t finished = 0;  ///< kFiles: last row of the last finished file
    size_t bytes = 0;
  };

  Queue& queue(Output o) { return queues_[static_cast<size_t>(o)]; }
  const Queue& queue(Output o) const { return queues_[static_cast<size_t>(o)]; }
  void Add(Output output, int64_t first, int64_t last, std::string bytes, int64_t file_end);

  size_t max_bytes_;
  std::array<Queue, kOutputs + 1> queues_;
  Event changed_;
};

}  // namespace millrace::runtime
