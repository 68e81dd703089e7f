#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/result.h"
#include "millrace/base/task.h"
#include "millrace/base/time.h"
#include "millrace/model/ids.h"

namespace millrace {

struct LogHeader {
  std::string name;
  std::string value;

  friend bool operator==(const LogHeader&, const LogHeader&) = default;
};

/// Appends to one partition that must not overtake each other: once one of them has failed, none
/// that was started after it takes effect. A writer that has learned of the failure goes on with a
/// new chain. kInvalidArgument is no such failure: what is too large is never appended later.
struct AppendChain {
  /// The log sets it before it answers the append that failed, and looks at it before each write.
  std::atomic<bool> broken{false};
};

/// What a writer gives.
struct LogEntry {
  std::string key;
  std::string value;
  std::vector<LogHeader> headers;
  std::shared_ptr<AppendChain> chain{};  ///< null: a failure of others does not matter
};

/// Whether an append of this chain must not be made any more.
inline bool Broken(const std::shared_ptr<AppendChain>& chain) { return chain && chain->broken; }
inline void Break(const std::shared_ptr<AppendChain>& chain) {
  if (chain) chain->broken = true;
}
/// What an append of a broken chain gets.
inline Error BehindFailedAppend() {
  return ResourceExhausted("an append before this one failed, so this one was not made");
}

/// What a reader gets. `key` and `value` view memory that `owner` keeps alive; the value starts at
/// a multiple of 8 bytes.
struct LogRecord {
  Offset offset;
  Micros append_time = 0;
  std::string_view key;
  std::string_view value;
  std::vector<LogHeader> headers;
  std::shared_ptr<const void> owner;
};

struct TopicSpec {
  std::string name;
  int32_t partitions = 1;
  /// Given by the log, which never gives one twice: it tells a topic from a later one of its name.
  std::string id{};
};

/// A topic that others made, as far as its readers must know it.
struct ForeignTopic {
  int32_t partitions = 0;
  bool append_times = true;  ///< false: its records carry their writers' times, so none is given
};

/// Records are there to read in [start, end). Some of these offsets may hold none.
struct OffsetRange {
  Offset start;
  Offset end;
};

/// Some records of a partition in their order, and where their reader stands behind them.
struct LogBatch {
  std::vector<LogRecord> records;
  /// Above the last record, and above offsets behind it that hold none, as far as the log knows.
  Offset next;
  Offset end;  ///< of the log, as of this read
};

/// A place in one partition, moved by reading. It stays with the topic that it read first: a later
/// one of the same name is another log.
///
/// Threads: one executor. The log outlives it. One Next at a time; it lives until that has ended.
class LogReader {
 public:
  virtual ~LogReader() = default;

  /// The next records, at least one if there is any, up to about `max_bytes` of values. Waits up to
  /// `max_wait` for the first; empty after that. After an error the reader stands where it stood.
  /// kConflict: the place lies outside the log: below its start or above its end. So records were
  /// deleted, or the log lost them, or it is another one.
  /// kCorruption: the record at the place is damaged. kUnavailable: everything else, an unknown
  /// topic too, since the one who asks may only be early.
  virtual Task<Result<LogBatch>> Next(size_t max_bytes, std::chrono::microseconds max_wait) = 0;
};

class LogReaders {
 public:
  virtual ~LogReaders() = default;

  /// A reader that stands at `from`. Asks nothing of the log yet.
  virtual std::unique_ptr<LogReader> OpenReader(std::string topic, PartitionId partition,
                                                Offset from) = 0;
};

class LogAppender {
 public:
  virtual ~LogAppender() = default;

  /// Done when the record is durable; gives its offset. There are three errors.
  /// kInvalidArgument: the record is larger than the log takes, and nothing else; it is final.
  /// kResourceExhausted: the record was certainly not written; a later try may succeed.
  /// kUnavailable: everything else, an unknown topic too; whether it was written is not known.
  virtual Task<Result<Offset>> Append(std::string topic, PartitionId partition, LogEntry entry) = 0;
};

/// All that a view made of the partition's records below `next` is saved.
struct Progress {
  std::string view;  ///< with its namespace
  std::string topic;
  PartitionId partition;
  Offset next;
};

class LogAdmin {
 public:
  virtual ~LogAdmin() = default;

  /// Asks the log once whether it takes this process. kInvalidArgument: it answers, and something
  /// in the configuration must be changed. kUnavailable: whatever may pass by itself.
  virtual Task<Status> Probe() { co_return Status(); }

  /// Idempotent; `id` means nothing here. kConflict: the topic exists with other partitions.
  virtual Task<Status> CreateTopic(TopicSpec topic) = 0;
  /// The topic of this name as it stands. kNotFound: no such topic.
  virtual Task<Result<TopicSpec>> DescribeTopic(std::string name) = 0;
  /// Whether a topic that others made can be a stream. kNotFound: no such topic. kInvalidArgument:
  /// the log can lose or change its records; the message says by what, and what to change.
  virtual Task<Result<ForeignTopic>> CheckForeignTopic(std::string name) {
    MILLRACE_CO_ASSIGN(const TopicSpec topic, co_await DescribeTopic(std::move(name)));
    co_return ForeignTopic{topic.partitions};
  }
  /// Removes the topic of this name and id with all of its records. Does nothing if the name is
  /// free or belongs to a topic of another id. Afterwards the name is free, and calls that were
  /// made for this topic and still run end as calls for an unknown topic do: none of them touches
  /// a later topic of the name. kUnavailable: the outcome is unknown.
  virtual Task<Status> RemoveTopic(TopicSpec topic) = 0;

  /// As of now, never from memory. kNotFound: no such topic or partition. So for OffsetForTime.
  virtual Task<Result<OffsetRange>> Range(std::string topic, PartitionId partition) = 0;

  /// First offset whose record has append time >= t; the end if there is none. So no record of t or
  /// later stands before it; behind it may stand earlier ones, where the clock stepped back.
  virtual Task<Result<Offset>> OffsetForTime(std::string topic, PartitionId partition,
                                             Micros t) = 0;

  /// Deletes the partition's records below `before`, which becomes its start; does nothing if that
  /// is not above the start. Readers that stand below it get kConflict, behind records that they
  /// had fetched before. The space is given back when the log can, which may be after later calls:
  /// to repeat a call is useful. kConflict: `before` lies above the end, so the caller knows
  /// another log. kNotFound: no such topic or partition. kUnavailable: the outcome is unknown.
  virtual Task<Status> DeleteBefore(std::string topic, PartitionId partition, Offset before) = 0;

  /// How many bytes the partition's records at `from` and above take, about. kNotFound: no such
  /// topic or partition. kConflict: this log cannot tell.
  virtual Task<Result<int64_t>> Bytes(std::string topic, PartitionId partition, Offset from) = 0;

  /// Tells this log from every other one, also from a copy of its topics elsewhere. It never
  /// changes. At most 64 printable ASCII characters.
  virtual Task<Result<std::string>> Identity() = 0;

  /// Tells people who look at the log with its own tools how far a view has come. Never waits, and
  /// may be lost; nothing reads it back. A log without such tools does nothing.
  virtual void NoteProgress(Progress) {}
};

/// An ordered, durable, partitioned log. Offsets of a partition rise; between two records there may
/// be offsets that hold none. An append time is what the log's clock said at the append: where that
/// clock steps back, so do append times.
///
/// Threads: any executor. Order: appends to one partition take effect in the order in which they
/// were started; what a failure means for those behind it, their chain says.
class EventLog : public LogReaders, public LogAppender, public LogAdmin {};

}  // namespace millrace
