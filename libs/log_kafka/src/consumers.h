#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "handle.h"
#include "millrace/base/executor.h"
#include "millrace/log_kafka/options.h"
#include "millrace/model/ids.h"

namespace millrace::log_kafka {

/// Fetches one partition from one place on. A client of librdkafka has one place for each
/// partition, so cursors of one partition are spread over several clients.
/// Threads: any; Take and Watch by one at a time.
class Fetch {
 public:
  using OwnedMessage = Owned<rd_kafka_message_t, rd_kafka_message_destroy>;

  ~Fetch();
  Fetch(const Fetch&) = delete;

  /// The next message or the next thing to be told; nullptr: nothing has come.
  OwnedMessage Take() const;
  /// `came` is set when something comes. Look with Take afterwards: it may have come before.
  void Watch(const Completion<bool>& came);
  /// The end of the partition as the last answer said; -1: there was none.
  int64_t KnownEnd() const;
  const Handle& handle() const { return *consumer_->handle; }
  /// No other cursor gets this client: it gave nothing where there was something.
  void Distrust() const { consumer_->tired = true; }

 private:
  friend class Consumers;
  using Key = std::pair<std::string, int32_t>;
  struct Consumer {
    std::shared_ptr<Handle> handle;
    std::atomic<bool> tired{false};
    std::set<Key> taken;  ///< guarded by Consumers::mutex_
  };

  Fetch() = default;
  static void Came(rd_kafka_t*, void* self);

  std::shared_ptr<class Consumers> pool_;
  std::shared_ptr<Consumer> consumer_;
  Key key_;
  OwnedQueue queue_;
  std::mutex mutex_;
  std::optional<Completion<bool>> watcher_;
};

/// The clients that fetch. Blocks, all of it.
class Consumers : public std::enable_shared_from_this<Consumers> {
 public:
  explicit Consumers(Options options) : options_(std::move(options)) {}

  /// Starts to fetch. kUnavailable: too many cursors of the partition.
  Result<std::shared_ptr<Fetch>> Start(const std::string& topic, PartitionId partition,
                                       Offset from);

 private:
  friend class Fetch;
  Result<std::shared_ptr<Fetch::Consumer>> Reserve(const Fetch::Key& key);
  void Release(const std::shared_ptr<Fetch::Consumer>& consumer, const Fetch::Key& key);

  const Options options_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Fetch::Consumer>> consumers_;
};

}  // namespace millrace::log_kafka
