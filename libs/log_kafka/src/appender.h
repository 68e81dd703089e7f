#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "callers.h"
#include "handle.h"
#include "millrace/log/log.h"
#include "millrace/log_kafka/options.h"

namespace millrace::log_kafka {

/// Appends, partition by partition: one group of records is on its way at a time, and the next one
/// follows when each record of it has its answer. So nothing is sent behind a failure: within a
/// group the client library is set up to write a prefix of it or to fail as a whole
/// (docs/adr/0030).
///
/// Threads: any. `callers` outlives its calls, and is gone before this object.
class Appender {
 public:
  Appender(Options options, Callers* callers);
  ~Appender();

  Task<Result<Offset>> Append(std::string topic, PartitionId partition, LogEntry entry);

  /// Sends no more to this topic, and waits until what was sent is answered. Blocks.
  Status Hold(const std::string& topic);
  /// Goes on. What waited for a removed topic fails.
  void Resume(const std::string& topic, bool removed);

 private:
  using Clock = std::chrono::steady_clock;

  struct Request {
    LogEntry entry;
    size_t bytes = 0;
    Clock::time_point since;
    Completion<Result<Offset>> done;
  };
  using Requests = std::deque<std::shared_ptr<Request>>;
  struct Partition {
    std::string topic;
    PartitionId id;
    std::mutex mutex;
    std::condition_variable idle;
    Requests waiting;
    Requests group;     ///< on its way
    size_t flying = 0;  ///< those of the group without an answer of the brokers
    bool asking = false;
    bool held = false;
    uint64_t known_to = 0;  ///< number of the client that knows of the partition; 0: none
  };
  /// librdkafka gives up a whole producer when it cannot go on without a gap.
  struct Client {
    uint64_t number = 0;
    std::shared_ptr<Handle> handle;
    std::atomic<size_t> flying{0};
  };
  struct Flight {
    Client* client;
    std::shared_ptr<Partition> partition;
    std::shared_ptr<Request> request;
  };

  Result<std::shared_ptr<Partition>> Enqueue(const std::string& topic, PartitionId id,
                                             const std::shared_ptr<Request>& request);
  std::vector<std::shared_ptr<Partition>> Partitions(const std::string* topic);
  Result<std::shared_ptr<Client>> UsableClient();
  void Pump(const std::shared_ptr<Partition>& p);
  void SendGroup(const std::shared_ptr<Partition>& p, Client& client);
  rd_kafka_resp_err_t Produce(const std::shared_ptr<Partition>& p, Client& client,
                              const std::shared_ptr<Request>& request);
  void Ask(const std::shared_ptr<Partition>& p, const std::shared_ptr<Client>& client);
  void Delivered(rd_kafka_event_t* event);
  void Delivered(const rd_kafka_message_t& message);
  Result<Offset> Outcome(const Flight& flight, const rd_kafka_message_t& message) const;
  Error NotTaken(const Client& client, const Partition& p, rd_kafka_resp_err_t error) const;
  void FailWaiting(Partition& p, const Error& error);
  void Finish(const Request& request, const Result<Offset>& result);
  void EndLate();

  const Options options_;
  Callers* const callers_;
  std::atomic<bool> closing_{false};
  std::mutex mutex_;
  std::map<std::pair<std::string, PartitionId>, std::shared_ptr<Partition>> partitions_;
  std::set<std::string> held_;
  std::shared_ptr<Client> client_;
  std::vector<std::shared_ptr<Client>> retired_;
  uint64_t made_ = 0;
  Clock::time_point made_at_;
  Clock::time_point ended_late_at_;
  std::atomic<size_t> bytes_{0};
  std::atomic<size_t> records_{0};
};

}  // namespace millrace::log_kafka
