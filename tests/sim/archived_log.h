#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "millrace/log/in_memory_log.h"
#include "support/read_log.h"

namespace millrace::sim {

/// A log that remembers for a test what was deleted from it.
class ArchivedLog : public InMemoryLog {
 public:
  using InMemoryLog::InMemoryLog;

  Task<Status> DeleteBefore(std::string topic, PartitionId partition, Offset before) override {
    std::vector<LogRecord>& archive = deleted_[{topic, partition}];
    const auto range = co_await Range(topic, partition);
    if (range.ok() && range->start < before && before <= range->end) {
      const auto there = co_await test::ReadLog(this, topic, partition, range->start);
      for (const LogRecord& record : there.value())
        if (record.offset < before) archive.push_back(record);
    }
    auto deleted = co_await InMemoryLog::DeleteBefore(std::move(topic), partition, before);
    co_return deleted;
  }

  /// Every record that the partition ever had, from an offset on.
  Task<Result<std::vector<LogRecord>>> ReadAll(std::string topic, PartitionId partition,
                                               Offset from = Offset(0)) {
    std::vector<LogRecord> all;
    for (const LogRecord& record : deleted_[{topic, partition}])
      if (record.offset >= from) all.push_back(record);
    MILLRACE_CO_ASSIGN(const OffsetRange range, co_await Range(topic, partition));
    MILLRACE_CO_ASSIGN(const std::vector<LogRecord> rest,
                       co_await test::ReadLog(this, topic, partition, std::max(from, range.start)));
    all.insert(all.end(), rest.begin(), rest.end());
    co_return all;
  }

 private:
  std::map<std::pair<std::string, PartitionId>, std::vector<LogRecord>> deleted_;
};

}  // namespace millrace::sim
