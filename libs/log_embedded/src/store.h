#pragma once

#include <rocksdb/db.h>

#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <vector>

#include "millrace/log/log.h"
#include "record_codec.h"

namespace millrace::log_embedded {

/// What lies on disk: topics and records in one RocksDB database. Every call blocks.
///
/// Threads: Scan and AppendTimeAt any, at any time; Topics, FindExtent, Commit and Reopen one at a
/// time; PutTopic one at a time, beside them.
class Store {
 public:
  struct Topic {
    uint32_t id = 0;
    int32_t partitions = 0;
  };
  /// Where a partition stands: records [start, end), and the append time of the last.
  struct Extent {
    int64_t start = 0;
    int64_t end = 0;
    Micros last_time = kMinusInfinity;
  };
  struct Write {
    uint32_t topic = 0;
    int32_t partition = 0;
    int64_t offset = 0;
    Micros append_time = 0;
    const LogEntry* entry = nullptr;
  };

  /// Errors as EmbeddedLog::Open.
  static Result<std::unique_ptr<Store>> Open(const std::string& directory);
  ~Store();

  Result<std::map<std::string, Topic>> Topics();
  /// What is stored under the name, which a put that failed may have left, or else a new topic
  /// whose id is larger than any other's.
  Result<Topic> PutTopic(const std::string& name, int32_t partitions);
  Result<Extent> FindExtent(uint32_t topic, int32_t partition);

  /// Makes all of `writes` durable and readable. After an error nothing can be written until
  /// Reopen, which may find some of them.
  Status Commit(const std::vector<Write>& writes);
  /// Closes the database and opens it again: RocksDB does not go on after a failed write.
  Status Reopen();

  /// Records [from, end) up to about max_bytes of values, at least one. kCorruption names the
  /// offset.
  Result<std::vector<LogRecord>> Scan(uint32_t topic, int32_t partition, int64_t from, int64_t end,
                                      size_t max_bytes);
  Result<Micros> AppendTimeAt(uint32_t topic, int32_t partition, int64_t offset);

 private:
  Store(std::string directory, int lock_fd);

  Result<std::map<std::string, Topic>> ReadTopics();
  Status OpenDatabase();
  void CloseDatabase();
  Error NotOpen() const;
  /// `about`: facts, each with a blank before it.
  Error FromStatus(const rocksdb::Status& s, const std::string& what,
                   const std::string& about = {}) const;
  Status CheckFormat();

  const std::string directory_;
  const int lock_fd_;
  /// Shared: db_ is used; exclusive: it is exchanged.
  std::shared_mutex exchange_;
  /// nullptr after a Reopen that failed.
  std::unique_ptr<rocksdb::DB> db_;
};

}  // namespace millrace::log_embedded
