#pragma once

#include <memory>
#include <optional>
#include <string>

#include "admin.h"
#include "callers.h"
#include "consumers.h"
#include "millrace/log/log.h"

namespace millrace::log_kafka {

/// What readers share.
struct Reading {
  std::shared_ptr<Admin> admin;
  std::shared_ptr<Consumers> consumers;
  std::shared_ptr<Callers> callers;
  /// Grows when this process changed what may be fetched already.
  std::shared_ptr<std::atomic<uint64_t>> changes;
};

/// A cursor. It asks who the topic is and where it ends before it first fetches, after each doubt,
/// and before it says that there is nothing: the client library alone would go on silently in
/// another topic of the same name, and stay silent for ever where it once told an error.
class Reader : public LogReader {
 public:
  Reader(Reading with, std::string topic, PartitionId partition, Offset from);
  ~Reader() override;

  Task<Result<LogBatch>> Next(size_t max_bytes, std::chrono::microseconds max_wait) override;

 private:
  using Duration = Executor::Duration;

  /// What the brokers answered to one question of Ask.
  struct Seen {
    std::string id;
    OffsetRange range;
  };

  Task<Status> Ask();
  Task<Status> Start();
  Result<LogBatch> TakeQueued(size_t max_bytes);
  Error Told(const rd_kafka_message_t& message) const;
  bool MustAsk(Duration deadline, bool asked) const;
  Error Silence(Duration now);
  void Stop();
  /// A number that changes with every reason to ask again.
  uint64_t Doubts() const { return *with_.changes + (fetch_ ? fetch_->handle().doubts() : 0); }
  bool InDoubt() const { return fetch_ && (went_back_ || Doubts() != doubts_); }
  Error Broken(Code code, std::string_view what) const;

  const Reading with_;
  const std::string topic_;
  const PartitionId partition_;
  Offset next_;
  Offset end_{0};
  std::optional<std::string> id_;  ///< of the topic that it read first
  std::shared_ptr<Fetch> fetch_;
  uint64_t doubts_ = 0;
  Offset fetched_end_{-1};  ///< as the last answer to a fetch said
  bool went_back_ = false;  ///< that end, so records were lost or the topic is another one
  Duration asked_at_{0};
  Duration progress_at_{0};
};

}  // namespace millrace::log_kafka
