#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "grpc_status.h"
#include "millrace/base/bytes.h"
#include "millrace/client/client.h"
#include "millrace/ingest/limits.h"

namespace millrace::ingest::v1 {
class PublishStreamReply;
class PublishStreamRequest;
}  // namespace millrace::ingest::v1

namespace millrace {

/// All of a Client.
///
/// Batches stand in `open_` in the order of their numbers until they are settled. One thread sends
/// them over the current connection; the connection's reader settles them. A third gives up what
/// is too old, because a write may hold the sender up. acked_below is the first unsettled number,
/// so it needs no memory of its own.
class Client::Core {
 public:
  explicit Core(ClientOptions options);
  ~Core();

  Result<int64_t> Publish(std::string_view json, std::optional<std::string_view> key);
  int64_t Skip();
  Status Flush(std::optional<std::chrono::milliseconds> timeout);
  void Close();
  ClientStats Stats() const;
  const ClientOptions& options() const { return options_; }

 private:
  using Clock = std::chrono::steady_clock;
  /// Events with consecutive numbers that travel together.
  struct Batch {
    int64_t first = 0;
    /// Lives in an arena of its own.
    std::shared_ptr<ingest::v1::PublishStreamRequest> message;
    std::vector<bool> settled;  ///< by place
    size_t settled_in_front = 0;
    size_t unsettled = 0;
    size_t bytes = 0;
    Clock::time_point created;
    bool sealed = false;
    bool sent = false;  ///< on the current connection, or there is nothing to send
    bool ever_sent = false;
    bool doubtful = false;  ///< an attempt has an unknown outcome
    bool given_up = false;  ///< its last events are being settled, so it is not sent again
  };
  struct Connection;
  using BatchPtr = std::shared_ptr<Batch>;
  /// Reports for the events of a batch, by their place in it.
  using Reports = std::vector<std::pair<size_t, EventReport>>;

  // With mutex_ held.
  int64_t AckedBelow() const;
  bool HasRoom(size_t bytes) const;
  Batch& Filling();
  void SealFilling();
  BatchPtr Ready(Clock::time_point now);
  Clock::time_point NextWake(Clock::time_point now, bool may_send) const;
  Clock::time_point NextGivingUp(Clock::time_point now) const;
  void Prepare(Batch* batch);
  std::vector<BatchPtr> TooOld(Clock::time_point now) const;
  Reports ReportsOf(const Batch& batch, const ingest::v1::PublishStreamReply& reply);
  void MarkSettled(Batch* batch, const Reports& reports);
  std::chrono::milliseconds NextDelay();

  // Without it.
  void Run();
  void RunGivingUp();
  BatchPtr NextBatch(Connection* connection);
  void Serve(Connection* connection);
  void ReadReplies(Connection* connection);
  bool OnReply(Connection* connection, const ingest::v1::PublishStreamReply& reply);
  void OnEnd(Connection* connection, const grpc::Status& status);
  /// Reports what is not settled yet, then marks it.
  void Settle(const BatchPtr& batch, Reports reports);
  void SettleAll(const std::vector<BatchPtr>& batches, const std::string& reason,
                 const std::string& message);

  const ClientOptions options_;
  /// One settles at a time, so that reports come one at a time and before their effect. Taken
  /// before mutex_.
  std::mutex settling_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<BatchPtr> open_;
  int64_t next_;
  size_t bytes_ = 0;
  int64_t flush_below_ = 0;
  ClientStats stats_;
  std::optional<Error> failed_;
  bool closing_ = false;
  grpc::ClientContext* call_ = nullptr;  ///< of the current connection
  /// Endpoints in a row that are no gateways.
  size_t no_gateways_ = 0;
  Clock::time_point retry_at_{};
  std::chrono::milliseconds last_delay_{0};
  int64_t next_batch_ = 1;
  std::thread sender_;
  std::thread giving_up_;  ///< only with give_up_after
};

}  // namespace millrace
