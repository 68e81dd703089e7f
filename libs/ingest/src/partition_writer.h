#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "append_failures.h"
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

/// What unanswered requests hold: themselves, and the blocks and records that they became.
class InFlightBytes {
 public:
  explicit InFlightBytes(Gauge* gauge) : gauge_(gauge) {}

  size_t total() const { return requests_ + packed_; }
  size_t packed() const { return packed_; }
  /// Notified when packed() falls.
  millrace::Event& freed() { return freed_; }

  enum class Part { kRequest, kPacked };
  /// Bytes of one part, for as long as it is there.
  class Share {
   public:
    Share() = default;
    Share(std::shared_ptr<InFlightBytes> all, Part part) : all_(std::move(all)), part_(part) {}
    Share(Share&& o) noexcept
        : all_(std::move(o.all_)), part_(o.part_), bytes_(std::exchange(o.bytes_, 0)) {}
    Share& operator=(Share&& o) noexcept {
      std::swap(all_, o.all_);
      std::swap(part_, o.part_);
      std::swap(bytes_, o.bytes_);
      return *this;
    }
    ~Share() {
      if (all_ != nullptr) Set(0);
    }
    void Set(size_t bytes) {
      if (bytes != bytes_) all_->Change(part_, std::exchange(bytes_, bytes), bytes);
    }

   private:
    std::shared_ptr<InFlightBytes> all_;
    Part part_ = Part::kPacked;
    size_t bytes_ = 0;
  };

 private:
  void Change(Part part, size_t before, size_t now) {
    size_t& sum = part == Part::kPacked ? packed_ : requests_;
    sum += now - before;
    gauge_->Set(static_cast<double>(total()));
    if (part == Part::kPacked && now < before) freed_.Notify();
  }

  Gauge* gauge_;
  size_t requests_ = 0;
  size_t packed_ = 0;
  millrace::Event freed_;
};

/// What every writer of a gateway shares.
struct WriterContext {
  Ports ports;
  Options options;
  GatewayMetrics metrics;
  std::shared_ptr<InFlightBytes> in_flight;
  std::shared_ptr<AppendFailures> append_failures;
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

  /// The stream is gone: what was not handed to the log yet never is, and is answered.
  void Close();

  /// Event `event` of `request` joins the open block as a copy of row `row` of `from`, whose
  /// columns other than `filled` are NULL in every row.
  void AddRow(const std::shared_ptr<PendingRequest>& request, uint32_t event,
              const Identity& identity, const EventBatch& from, std::span<const uint32_t> filled,
              size_t row);
  /// Event `event` of `request` as a log record of its own.
  void AddRecord(const std::shared_ptr<PendingRequest>& request, uint32_t event, LogEntry entry);

  /// Nothing is packed that the log has not answered.
  bool idle() const { return open_.events.empty() && sealed_.empty() && in_flight_ == 0; }

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
    std::vector<uint32_t> filled;     ///< columns of the batch that are not NULL in every row
    std::optional<EventBatch> batch;  ///< becomes the entry's value when the append starts
    LogEntry entry;
    std::vector<Member> members;
    std::vector<uint32_t> events;  ///< by row: index in its request
    InFlightBytes::Share held;

    size_t EndOf(size_t member) const {
      return member + 1 < members.size() ? members[member + 1].first_row : events.size();
    }
  };

  void Join(const std::shared_ptr<PendingRequest>& request, uint32_t event, Pack* pack);
  void Seal();
  void Enqueue(Pack pack);
  void StartAppends();
  static Pack WithoutBrokenLanes(Pack pack);
  bool MakeEntry(Pack* pack);
  static Task<void> Append(std::shared_ptr<PartitionWriter> self, Pack pack);
  /// Answers the events of a pack with where they are in the log, or with the log's error.
  void Finish(const Pack& pack, const Result<Offset>& appended);
  void Refuse(const Pack& pack, const std::shared_ptr<const EventError>& error);

  std::shared_ptr<const WriterContext> context_;
  std::shared_ptr<const StreamSpec> stream_;
  PartitionId partition_;

  BatchBuilder builder_;
  Pack open_;
  size_t open_text_bytes_ = 0;  ///< texts and payloads of the open block
  uint64_t open_number_ = 0;    ///< of the open block, so that a timer knows its own

  bool closed_ = false;
  std::deque<Pack> sealed_;
  size_t in_flight_ = 0;
  /// Of the appends that start now; a new one after each failure.
  std::shared_ptr<AppendChain> chain_ = std::make_shared<AppendChain>();
};

}  // namespace millrace::ingest
