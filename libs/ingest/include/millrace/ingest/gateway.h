#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "millrace/base/task.h"
#include "millrace/block/block_codec.h"
#include "millrace/ingest/limits.h"
#include "millrace/ingest/publish.h"
#include "millrace/log/log.h"
#include "millrace/metrics/metrics.h"
#include "millrace/model/ids.h"
#include "millrace/model/spec.h"
#include "millrace/record/record_parser.h"

namespace millrace::ingest {

/// What a gateway stands on. All outlive its executor's tasks.
struct Ports {
  LogAppender* log;
  const BlockCodec* blocks;
  const RecordParsers* records;
  MetricRegistry* metrics;
};

struct Options {
  size_t block_bytes = 64 << 10;            ///< a block closes when its columns hold so much
  std::chrono::microseconds linger{5'000};  ///< or so long after its first event
  /// Limit on the bytes of all unanswered requests and of what they became. A request beyond it
  /// gets kResourceExhausted, unless it is the only one.
  size_t in_flight_bytes = 64 << 20;
  /// Limit on the blocks and records that the log has not answered yet; as much as the log itself
  /// keeps waiting. Beyond it packing waits, except for a stream that has none of them.
  size_t packed_bytes = 32 << 20;
  std::chrono::milliseconds retry_after{100};  ///< told with kResourceExhausted
  /// Producers that may come new to a stream at once; after each interval one more may. Every shard
  /// of the stream remembers each of them for seven days.
  int64_t new_producers = 120'000;
  std::chrono::milliseconds new_producer_interval{3'000};
  /// Producers of a stream that do not count as new when they come again: so many at least, twice
  /// as many at most.
  size_t known_producers = 131'072;
  /// Started and not yet acknowledged by the log, per partition: enough for its group commits.
  size_t appends_in_flight = 1'024;
};

/// Where a gateway looks for a stream that it does not know.
class StreamSource {
 public:
  virtual ~StreamSource() = default;
  /// When it returns, the gateway was told of every stream that was defined before the call, by a
  /// task that is posted to its executor. kUnavailable: the control log does not answer.
  virtual Task<Status> CatchUp() = 0;
};

/// What a gateway does to a request: validates its events against the stream's declared columns,
/// picks their partitions (docs/formats/partitioning.md), packs them into blocks (or one record an
/// event, `format = 'json'`), appends, and answers when the log has.
///
/// Threads: one executor calls everything and runs everything. Life: may be destroyed before or
/// after the tasks of that executor; requests under way then still end.
/// Order: events of calls to one stream, started one after another, enter each partition in that
/// order. If an append fails, later events may go past those that it held, but none of the same
/// lane. An event is acknowledged only after a durable append; an append whose outcome is unknown
/// is not repeated here, because events without identity would be there twice: its events get
/// UNAVAILABLE, and the producer sends the same numbers again.
class Gateway {
 public:
  explicit Gateway(Ports ports, Options options = {});
  ~Gateway();

  /// Makes the stream known, or changes its definition; what is packed so far goes out under the
  /// old one. Its topic must exist.
  void SetStream(StreamSpec stream);
  /// The stream of this generation is gone: nothing that is not with the log yet is appended any
  /// more. Requests under way end, their events without an append as UNKNOWN_STREAM, like later
  /// requests. Nothing happens to a later stream of the name.
  void RemoveStream(const StreamSpec& stream);
  /// From now on a stream that is not known is looked for there, once for each request that names
  /// it, before the request gets UNKNOWN_STREAM. `source` outlives the executor's tasks.
  void LookIn(StreamSource* source);
  std::vector<StreamSpec> Streams() const;
  /// Empty, or that the log takes no events: since when, why, and what to do. For people.
  std::string AppendTrouble() const;

  /// The order of calls is that in which they first run: a refusal of the whole request, or its
  /// place in the line of its stream, comes before the first suspension. Requests to a stream that
  /// is looked for keep their order too. A large request is packed
  /// in slices of some milliseconds. Between them the executor does other work, but no other
  /// request of this stream is packed.
  ///
  /// Whole requests are refused as UNKNOWN_STREAM (kNotFound), RECOVERING (kUnavailable: whether
  /// the stream exists cannot be told), BATCH_TOO_LARGE or PRODUCER_ID_TOO_LONG (kInvalidArgument),
  /// or OVERLOADED or PRODUCERS, of which a stream gets too many new ones (kResourceExhausted).
  /// Single events, which are then not appended, as SEQUENCE_SPAN, EVENT_TOO_LARGE, UNREADABLE,
  /// MISSING_COLUMN, WRONG_TYPE, NULL_EVENT_TIME, EVENT_TIME_OUT_OF_RANGE or KEY_MISMATCH, the
  /// first that holds; what the log did not take as UNAVAILABLE (retryable: it may be there), or as
  /// LOG_REFUSED if it is too large for the log.
  ///
  /// `lane`: of the caller, if its events have an order to keep. An UNAVAILABLE breaks it.
  Task<PublishReply> Accept(Principal principal, PublishRequest request,
                            std::shared_ptr<Lane> lane = nullptr);

 private:
  struct Core;
  static Task<PublishReply> AcceptOn(std::shared_ptr<Core> core, Principal principal,
                                     PublishRequest request, std::shared_ptr<Lane> lane);

  std::shared_ptr<Core> core_;
};

}  // namespace millrace::ingest
