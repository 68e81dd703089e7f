#include "millrace/runtime/read_again.h"

#include "millrace/log/in_memory_log.h"
#include "support/catch.h"
#include "support/forwarding_log.h"
#include "support/read_log.h"
#include "support/test_executor.h"

namespace millrace::runtime {
namespace {

constexpr PartitionId kOnly{0};

/// Counts what is read of a log, and can leave append times out.
class CountedLog : public test::ForwardingLog {
 public:
  using ForwardingLog::ForwardingLog;

  std::unique_ptr<LogReader> OpenReader(std::string topic, PartitionId partition,
                                        Offset from) override {
    ++reads;
    return std::make_unique<Reader>(this, inner()->OpenReader(std::move(topic), partition, from));
  }

  int reads = 0;
  bool times = true;

 private:
  class Reader : public LogReader {
   public:
    Reader(const CountedLog* log, std::unique_ptr<LogReader> inner)
        : log_(log), inner_(std::move(inner)) {}
    Task<Result<LogBatch>> Next(size_t max_bytes, std::chrono::microseconds max_wait) override {
      auto batch = co_await inner_->Next(max_bytes, max_wait);
      if (!log_->times && batch.ok())
        for (LogRecord& record : batch->records) record.append_time = 0;
      co_return batch;
    }

   private:
    const CountedLog* const log_;
    const std::unique_ptr<LogReader> inner_;
  };
};

/// A log of 100 records, and what somebody remembers who read them all.
struct Fixture {
  explicit Fixture(bool times) {
    log.times = times;
    REQUIRE(executor.RunUntilDone(log.CreateTopic({"t", 1})).ok());
    for (int i = 0; i < 100; ++i) Append("same");
    remembered = Identities();
    log.reads = 0;
  }
  void Append(const std::string& value) {
    REQUIRE(executor.RunUntilDone(log.Append("t", kOnly, {{}, value, {}})).ok());
  }
  std::vector<RecordIdentity> Identities() {
    std::vector<RecordIdentity> all;
    for (const LogRecord& record : executor.RunUntilDone(test::ReadLog(&log, "t", kOnly)).value())
      all.push_back(IdentityOf(record));
    return all;
  }
  Recalled Again() {
    const OffsetRange range = executor.RunUntilDone(log.Range("t", kOnly)).value();
    return executor.RunUntilDone(ReadAgain(&log, "t", kOnly, remembered, range)).value();
  }

  test::TestExecutor executor;
  InMemoryLog memory;
  CountedLog log{&memory};
  std::vector<RecordIdentity> remembered;
};

}  // namespace

TEST_CASE("one record that is as it was tells that the log is the same, where records have times") {
  Fixture f(true);
  CHECK_FALSE(f.Again().first_other);
  CHECK(f.log.reads == 1);
}

TEST_CASE("without append times the newest 16 records tell that the log is the same") {
  Fixture f(false);
  CHECK_FALSE(f.Again().first_other);
  CHECK(f.log.reads == 16);
  // All but one are sent again, alike.
  f.memory.LoseEnd("t", kOnly, Offset(90));
  f.Append("other");
  for (int i = 0; i < 20; ++i) f.Append("same");
  const Recalled recalled = f.Again();
  CHECK(recalled.first_other == Offset(90));
  CHECK(recalled.last_same == f.remembered[89]);
}

TEST_CASE("records that are gone are told from those that are there") {
  Fixture f(true);
  f.memory.LoseEnd("t", kOnly, Offset(40));
  const Recalled recalled = f.Again();
  CHECK(recalled.first_other == Offset(40));
  CHECK(recalled.last_same == f.remembered[39]);
  CHECK(f.log.reads == 1);
}

TEST_CASE("records that were deleted say nothing") {
  Fixture f(true);
  REQUIRE(f.executor.RunUntilDone(f.log.DeleteBefore("t", kOnly, Offset(100))).ok());
  const Recalled recalled = f.Again();
  CHECK_FALSE(recalled.first_other);
  CHECK_FALSE(recalled.last_same);
}

}  // namespace millrace::runtime
