#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "metrics.h"
#include "millrace/base/executor.h"
#include "millrace/ingest/gateway.h"
#include "millrace/model/batch_builder.h"

namespace millrace::ingest {

/// A request that waits for the appends that hold its events.
struct PendingRequest {
  std::shared_ptr<Lane> lane;  ///< null: its events have no order to keep
  std::vector<EventResult> results;
  /// Appends that hold events of it, and one while it is being packed.
  size_t open = 1;
  Completion<bool> done;

  void Release() {
    if (--open == 0) done.Set(true);
  }
};

/// Who sent an event. An empty producer: nobody known.
struct Identity {
  std::string_view principal;
  std::string_view producer;
  int64_t acked_below = 0;

  bool known() const { return !producer.empty(); }
};

/// What every writer of a gateway shares.
struct WriterContext {
  Ports ports;
  Options options;
  GatewayMetrics metrics;
};

/// Packs the events of one partition and appends what is packed, in order.
///
/// What a lane gets into the partition is always a beginning of what it sent there, without holes
/// (docs/adr/0011): a pack is handed to the log without the events of broken lanes, and all appends
/// under way are links of one chain, so that those behind a failed one fail too.
class PartitionWriter : public std::enable_shared_from_this<PartitionWriter> {
 public:
  PartitionWriter(std::shared_ptr<const WriterContext> context,
                  std::shared_ptr<const StreamSpec> stream, PartitionId partition);

  /// Seals what is open under the old definition.
  void SetStream(std::shared_ptr<const StreamSpec> stream);

  /// Event `event` of `request` joins the open block as a copy of row `row` of `from`.
  void AddRow(const std::shared_ptr<PendingRequest>& request, uint32_t event,
              const Identity& identity, const EventBatch& from, size_t row);
  /// Event `event` of `request` as a log record of its own.
  void AddRecord(const std::shared_ptr<PendingRequest>& request, uint32_t event, LogEntry entry);

 private:
  /// Consecutive rows of one request in one append.
  struct Member {
    std::shared_ptr<PendingRequest> request;
    uint32_t first_row = 0;
    int16_t producer = -1;
  };
  /// Events that share one append.
  struct Pack {
    std::shared_ptr<const StreamSpec> stream;
    std::optional<EventBatch> batch;  ///< becomes the entry's value when the append starts
    LogEntry entry;
    std::vector<Member> members;
    std::vector<uint32_t> events;  ///< by row: index in its request

    size_t EndOf(size_t member) const {
      return member + 1 < members.size() ? members[member + 1].first_row : events.size();
    }
  };

  void Join(const std::shared_ptr<PendingRequest>& request, uint32_t event, Pack* pack);
  size_t RowBytes(const EventBatch& from, size_t row) const;
  void Seal();
  void Enqueue(Pack pack);
  void StartAppends();
  static Pack WithoutBrokenLanes(Pack pack);
  bool MakeEntry(Pack* pack);
  static Task<void> Append(std::shared_ptr<PartitionWriter> self, Pack pack);
  void Finish(const Pack& pack, const Result<Offset>& appended);

  std::shared_ptr<const WriterContext> context_;
  std::shared_ptr<const StreamSpec> stream_;
  PartitionId partition_;
  size_t fixed_row_bytes_ = 0;
  std::vector<size_t> text_columns_;

  BatchBuilder builder_;
  Pack open_;
  size_t open_bytes_ = 0;
  uint64_t open_number_ = 0;  ///< of the open block, so that a timer knows its own

  std::deque<Pack> sealed_;
  size_t in_flight_ = 0;
  /// Of the appends that start now; a new one after each failure.
  std::shared_ptr<AppendChain> chain_ = std::make_shared<AppendChain>();
};

}  // namespace millrace::ingest
