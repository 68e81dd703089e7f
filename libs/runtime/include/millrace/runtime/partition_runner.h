#pragma once

#include <deque>
#include <memory>
#include <set>
#include <vector>

#include "millrace/model/batch_builder.h"
#include "millrace/runtime/ports.h"
#include "millrace/runtime/shard.h"

namespace millrace::runtime {

/// Reads one partition of a stream once and feeds every shard on it the same batches; appends the
/// ticks they need.
///
/// Threads: one executor. Shards that stand at different places, as after the start of a new
/// pipeline, are read for in turns until they are level; then one read serves all. Reading waits
/// for the slowest shard's outbox, and so does a shard in the middle of one record that makes many
/// rows due. A record that cannot be read becomes one quarantined event; a log that cannot be read
/// halts the shards that need it.
///
/// The log may become another one while nobody looks. So after every break in reading a shard is
/// given nothing before the last record that it read was compared with what the log has now.
class PartitionRunner : public std::enable_shared_from_this<PartitionRunner> {
 public:
  PartitionRunner(StreamSpec stream, PartitionId partition, Ports ports, Options options);

  /// Spawns the reader and the ticker on the calling executor.
  void Start();
  void Attach(std::shared_ptr<Shard> shard);
  void Detach(const Shard* shard);
  void Stop();
  bool has_shards() const { return !shards_.empty(); }
  const StreamSpec& stream() const { return stream_; }
  /// Of the log, as the last read told it; -1 before the first.
  Offset end() const { return end_; }
  /// When that was.
  Executor::Duration end_read_at() const { return end_read_at_; }

 private:
  /// Records that make one item, and the item.
  struct Decoded {
    LogItem item;
    size_t first;
    size_t count;
    Offset after;  ///< the log holds no record between this place and the first one
  };
  /// A reader, and where it stands.
  struct Cursor {
    std::unique_ptr<LogReader> reader;
    Offset at;
    Offset end{-1};  ///< of the log, as its last read told it
  };

  Task<> ReadLoop();
  Task<> TickLoop();
  Task<Status> ReadOnce();
  Cursor& CursorAt(Offset place);
  void Broke();
  Task<Result<bool>> LookBack(std::vector<RecordIdentity> read);
  Task<Status> LookAtEnd(Offset end);
  Task<Status> HaltAt(Offset place, Error error);
  std::vector<Offset> Places() const;
  void WarnIfAhead(const LogRecord& last) const;
  Task<Offset> ReadableAfter(Offset damaged);
  Task<std::optional<Status>> AppendDueTicks();
  void NoteLog(std::string_view part, const Status& status);
  std::vector<Decoded> Decode(const std::vector<LogRecord>& records, Offset from) const;
  LogItem DecodeRecord(const LogRecord& record) const;
  bool AddJson(const LogRecord& record, BatchBuilder* builder) const;
  bool Breaks(Offset after, Offset offset) const;
  Task<> Feed(LogBatch batch, Offset from);
  Task<> WaitForRoom(std::shared_ptr<Shard> shard);

  const StreamSpec stream_;
  const PartitionId partition_;
  const Ports ports_;
  const Options options_;
  std::unique_ptr<RecordParser> parser_;
  Counter* const busy_;     ///< seconds of decoding and folding
  Counter* const idle_;     ///< seconds of waiting for the log
  Counter* const blocked_;  ///< seconds of waiting for a full outbox
  std::vector<std::shared_ptr<Shard>> shards_;
  /// Those that have to look back before they are given more.
  std::set<const Shard*> look_back_;
  Executor::Duration passed_{0};  ///< when the reader looked at its shards last
  std::deque<Cursor> cursors_;    ///< the one used last is the last
  Event changed_;
  Offset end_{-1};
  Executor::Duration end_read_at_{0};
  size_t turn_ = 0;  ///< raised by each read
  bool stopped_ = false;
};

}  // namespace millrace::runtime
