#include <chrono>

#include "contract/log_contract.h"
#include "millrace/log_kafka/kafka_log.h"
#include "support/kafka_broker.h"
#include "support/servers.h"

using namespace millrace;
using log_kafka::KafkaLog;

namespace {

/// The sections of the suite share a broker: each begins without topics.
std::unique_ptr<KafkaLog> EmptyLog(test::TestExecutor& executor, const std::string& brokers) {
  log_kafka::Options options;
  options.brokers = brokers;
  options.replication = options.min_insync_replicas = 1;
  auto log = KafkaLog::Open(options).value();
  for (const TopicSpec& topic : executor.RunUntilDone(log->ListTopics()).value())
    REQUIRE(executor.RunUntilDone(log->RemoveTopic(topic)).ok());
  return log;
}

}  // namespace

/// librdkafka 2.0 to 2.3 leaves threads where a topic was removed under a reader.
extern "C" const char* __tsan_default_options() { return "report_thread_leaks=0"; }

TEST_CASE("a log in Kafka keeps the contract of logs") {
  if (test::SkipWithout(test::KafkaBroker::Missing())) return;
  static test::KafkaBroker broker;
  test::TestExecutor executor(std::chrono::seconds(60));
  test::CheckLogContract(executor, [&] {
    test::LogFixture fixture;
    fixture.log = EmptyLog(executor, broker.address());
    fixture.max_record_bytes = KafkaLog::kMaxRecordBytes;
    fixture.wall = [] {
      const auto now = std::chrono::system_clock::now().time_since_epoch();
      return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
    };
    fixture.time_unit = 1'000;
    return fixture;
  });
}
