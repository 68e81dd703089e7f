#include "millrace/runtime/read_again.h"

#include <algorithm>

#include "millrace/base/log.h"
#include "millrace/checkpoint/remembered.h"

namespace millrace::runtime {

Task<Result<Recalled>> ReadAgain(LogReaders* log, std::string topic, PartitionId partition,
                                 std::vector<RecordIdentity> records, OffsetRange range) {
  std::sort(records.begin(), records.end(),
            [](const auto& a, const auto& b) { return a.offset > b.offset; });
  records.erase(std::unique(records.begin(), records.end()), records.end());
  Recalled recalled;
  for (size_t i = 0; i < records.size(); ++i) {
    const RecordIdentity& expected = records[i];
    if (expected.offset < range.start) break;
    std::vector<LogRecord> there;
    if (expected.offset < range.end) {
      const auto reader = log->OpenReader(topic, partition, expected.offset);
      auto read = co_await reader->Next(1, std::chrono::microseconds(0));
      if (!read.ok() && read.error().code == Code::kCorruption) {
        // Damage is no other log, and the shard needs this record no more.
        LogWarn("a record that was folded cannot be read any more",
                {{"topic", topic},
                 {"partition", partition.value},
                 {"offset", expected.offset.value},
                 {"error", read.error().message}});
        continue;
      }
      if (!read.ok()) co_return read.error();
      there = std::move(read->records);
    }
    if (there.empty() || IdentityOf(there.front()) != expected) {
      recalled.first_other = expected.offset;
      // What looked the same above it was sent alike.
      recalled.last_same.reset();
      continue;
    }
    if (!recalled.last_same) recalled.last_same = expected;
    if (there.front().append_time != 0 || i + 1 >= checkpoint::kRememberedRecords) break;
  }
  co_return recalled;
}

}  // namespace millrace::runtime
