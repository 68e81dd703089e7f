#include "millrace/log_kafka/kafka_log.h"

#include <algorithm>
#include <chrono>

#include "support/catch.h"
#include "support/kafka_broker.h"
#include "support/raw_kafka.h"
#include "support/read_log.h"
#include "support/servers.h"
#include "support/test_executor.h"

using namespace millrace;
using log_kafka::KafkaLog;
using std::chrono::microseconds;

namespace {

const PartitionId p0(0);

/// Time jumps only when nothing was posted for a minute: everything here is done long before.
struct World {
  test::TestExecutor executor{std::chrono::seconds(60)};
  std::unique_ptr<KafkaLog> log;

  explicit World(const std::string& brokers) {
    log_kafka::Options options;
    options.brokers = brokers;
    options.replication = options.min_insync_replicas = 1;
    log = KafkaLog::Open(options).value();
  }
  template <typename T>
  T Run(Task<T> task) {
    return executor.RunUntilDone(std::move(task));
  }
  Result<Offset> Append(const std::string& topic, std::string value,
                        std::shared_ptr<AppendChain> chain = {}) {
    return Run(log->Append(topic, p0, {"", std::move(value), {}, std::move(chain)}));
  }
  /// Reads up to the end that the log has now.
  std::vector<std::string> ReadAll(LogReader& reader) {
    std::vector<std::string> values;
    for (;;) {
      const LogBatch batch = Run(reader.Next(1 << 20, microseconds(0))).value();
      for (const LogRecord& record : batch.records) values.emplace_back(record.value);
      if (batch.records.empty() && batch.next == batch.end) return values;
    }
  }
  /// Calls until it answers something else than that the log is away.
  Error LastingError(LogReader& reader) {
    for (;;) {
      const auto batch = Run(reader.Next(1, microseconds(0)));
      if (!batch.ok() && batch.error().code != Code::kUnavailable) return batch.error();
    }
  }
};

std::string Incompressible(size_t bytes) {
  std::string text(bytes, '\0');
  uint64_t state = 1;
  for (char& c : text) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(state >> 56);
  }
  return text;
}

}  // namespace

TEST_CASE("a log in Kafka stands beside other clients of the brokers") {
  if (test::SkipWithout(test::KafkaBroker::Missing())) return;
  static test::KafkaBroker broker;
  World world(broker.address());
  KafkaLog& log = *world.log;
  test::RawKafka other(broker.address());

  SECTION("a topic with a setting that loses records is refused, and the setting is named") {
    const std::vector<std::pair<std::string, std::string>> unsafe = {
        {"cleanup.policy", "compact"},
        {"message.timestamp.type", "CreateTime"},
        {"retention.ms", "3600000"},
        {"max.message.bytes", "1000"}};
    const std::vector<std::pair<std::string, std::string>> safe = {
        {"cleanup.policy", "delete"},
        {"message.timestamp.type", "LogAppendTime"},
        {"retention.ms", "-1"},
        {"max.message.bytes", "4325376"}};
    for (size_t i = 0; i < unsafe.size(); ++i) {
      auto settings = safe;
      settings[i] = unsafe[i];
      const std::string topic = "unsafe-" + std::to_string(i);
      other.Create(topic, settings);
      const Status made = world.Run(log.CreateTopic({topic, 1}));
      REQUIRE_FALSE(made.ok());
      CHECK(made.error().code == Code::kInvalidArgument);
      CHECK_THAT(made.error().message, ContainsText("setting=" + unsafe[i].first));
      CHECK_THAT(made.error().message, ContainsText("has=" + unsafe[i].second));
    }
    other.Create("safe", safe);
    CHECK(world.Run(log.CreateTopic({"safe", 1})).ok());
  }

  SECTION("a topic of others is read and written, has no id and is never removed") {
    other.Create("foreign");
    other.Produce("foreign", "theirs");
    other.Flush();
    const TopicSpec topic = world.Run(log.DescribeTopic("foreign")).value();
    CHECK(topic.id.empty());
    CHECK(world.Append("foreign", "ours").ok());
    const auto reader = log.OpenReader("foreign", p0, Offset(0));
    CHECK(world.ReadAll(*reader) == std::vector<std::string>{"theirs", "ours"});
    CHECK(world.Run(log.RemoveTopic(topic)).ok());
    CHECK(world.Run(log.DescribeTopic("foreign")).ok());

    // Its records carry their writers' times, which are no append times.
    const auto first = world.Run(test::ReadLog(&log, "foreign", p0)).value().at(0);
    CHECK(first.append_time == 0);
    CHECK_FALSE(world.Run(log.CheckForeignTopic("foreign")).value().append_times);
    CHECK(world.Run(log.CheckForeignTopic("nowhere")).error().code == Code::kNotFound);
    other.Create("stamped", {{"message.timestamp.type", "LogAppendTime"}});
    CHECK(world.Run(log.CheckForeignTopic("stamped")).value().append_times);
    other.Create("compacted", {{"cleanup.policy", "compact,delete"}});
    const auto refused = world.Run(log.CheckForeignTopic("compacted"));
    REQUIRE_FALSE(refused.ok());
    CHECK(refused.error().code == Code::kInvalidArgument);
    CHECK_THAT(refused.error().message, ContainsText("setting=cleanup.policy"));
    for (const TopicSpec& t : world.Run(log.ListTopics()).value()) CHECK(t.name != "foreign");
  }

  SECTION("a reader passes markers and given up records, and stands at the end behind them") {
    REQUIRE(world.Run(log.CreateTopic({"holes", 1})).ok());
    test::RawKafka writer(broker.address(), {{"transactional.id", "holes"}});
    const auto reader = log.OpenReader("holes", p0, Offset(0));
    CHECK(world.ReadAll(*reader).empty());
    writer.Transaction(true, [&] { writer.Produce("holes", "a"); });
    writer.Transaction(false, [&] { writer.Produce("holes", "given up"); });
    writer.Transaction(true, [&] { writer.Produce("holes", "b"); });
    CHECK(world.ReadAll(*reader) == std::vector<std::string>{"a", "b"});
    const OffsetRange range = world.Run(log.Range("holes", p0)).value();
    CHECK(range.end == Offset(6));
    const LogBatch last = world.Run(reader->Next(1, microseconds(0))).value();
    CHECK(last.next == range.end);
    CHECK(last.end == range.end);
    const Offset next = world.Append("holes", "c").value();
    CHECK(next == range.end);
    CHECK(world.ReadAll(*reader) == std::vector<std::string>{"c"});
  }

  SECTION("readers of one partition stand at places of their own") {
    REQUIRE(world.Run(log.CreateTopic({"cursors", 1})).ok());
    std::vector<std::string> values;
    for (int i = 0; i < 30; ++i) values.push_back(std::to_string(i));
    for (const std::string& value : values) world.Append("cursors", value).value();
    std::vector<std::unique_ptr<LogReader>> readers;
    std::vector<std::vector<std::string>> read(3);
    for (int i = 0; i < 3; ++i) readers.push_back(log.OpenReader("cursors", p0, Offset(10 * i)));
    for (int round = 0; round < 10; ++round) {
      for (size_t i = 0; i < 3; ++i) {
        const LogBatch batch = world.Run(readers[i]->Next(1, microseconds(0))).value();
        for (const LogRecord& record : batch.records) read[i].emplace_back(record.value);
      }
    }
    for (size_t i = 0; i < 3; ++i) {
      const auto from = values.begin() + static_cast<std::ptrdiff_t>(10 * i);
      REQUIRE(read[i].size() == 10);
      CHECK(std::equal(read[i].begin(), read[i].end(), from));
    }
  }

  SECTION("a reader finds out that another topic has the name, however many records that has") {
    REQUIRE(world.Run(log.CreateTopic({"again", 1})).ok());
    for (int i = 0; i < 5; ++i) world.Append("again", "first").value();
    const auto reader = log.OpenReader("again", p0, Offset(0));
    CHECK(world.ReadAll(*reader).size() == 5);
    // By another process, so nothing here is told of it.
    other.Delete("again");
    World second(broker.address());
    while (!second.Run(second.log->CreateTopic({"again", 1})).ok()) {
    }
    for (int i = 0; i < 20; ++i) second.Append("again", "second").value();
    // What it may give until then, who reads compares with what was before it.
    bool told = false;
    for (int i = 0; i < 100 && !told; ++i) {
      const auto batch = world.Run(reader->Next(1 << 20, std::chrono::milliseconds(300)));
      told = !batch.ok();
    }
    CHECK(told);
    CHECK(world.Run(reader->Next(1, microseconds(0))).error().code == Code::kUnavailable);
  }

  SECTION("a reader below the start of the log is told so, whatever it had fetched") {
    REQUIRE(world.Run(log.CreateTopic({"trimmed", 1})).ok());
    for (int i = 0; i < 10; ++i) world.Append("trimmed", std::to_string(i)).value();
    const auto reader = log.OpenReader("trimmed", p0, Offset(0));
    CHECK(world.Run(reader->Next(1, microseconds(0))).value().records.at(0).value == "0");
    REQUIRE(world.Run(log.DeleteBefore("trimmed", p0, Offset(5))).ok());
    CHECK(world.Run(log.Range("trimmed", p0)).value().start == Offset(5));
    CHECK(world.LastingError(*reader).code == Code::kConflict);
    CHECK(world.Run(log.DeleteBefore("trimmed", p0, Offset(5))).ok());
    CHECK(world.Run(log.DeleteBefore("trimmed", p0, Offset(3))).ok());
    CHECK(world.Run(log.DeleteBefore("trimmed", p0, Offset(11))).error().code == Code::kConflict);
    const auto rest = log.OpenReader("trimmed", p0, Offset(5));
    CHECK(world.ReadAll(*rest) == std::vector<std::string>{"5", "6", "7", "8", "9"});
  }

  SECTION(
      "nothing of a chain is written behind a record that the brokers refuse, and appends go on") {
    // A group of several batches, of which the brokers refuse one in the middle.
    other.Create("small", {{"max.message.bytes", "1200000"}});
    constexpr int kAppends = 60;
    constexpr int kRefused = 20;
    const std::string large = std::to_string(kRefused) + " " + Incompressible(2'000'000);
    const std::string ordinary = " " + Incompressible(50'000);
    const auto chain = std::make_shared<AppendChain>();
    int answered = 0;
    std::vector<Code> codes(kAppends, Code::kInternal);
    std::vector<bool> written(kAppends, false);
    for (int i = 0; i < kAppends; ++i) {
      world.executor.Spawn([](KafkaLog& l, std::string value, std::shared_ptr<AppendChain> c,
                              Code& code, std::vector<bool>::reference ok,
                              int& n) -> Task<> {
        LogEntry entry{"", std::move(value), {}, std::move(c)};
        const auto offset = co_await l.Append("small", p0, std::move(entry));
        ok = offset.ok();
        if (!offset.ok()) code = offset.error().code;
        ++n;
      }(log, i == kRefused ? large : std::to_string(i) + ordinary, chain,
                                      codes[static_cast<size_t>(i)],
                                      written[static_cast<size_t>(i)], answered));
    }
    while (answered < kAppends) world.executor.RunFor(std::chrono::milliseconds(1));
    CHECK_FALSE(written[kRefused]);
    CHECK(codes[kRefused] != Code::kInternal);
    CHECK(chain->broken);
    bool after = false;
    for (int i = 0; i < 300 && !after; ++i) {
      after = world.Append("small", "after").ok();
      world.executor.RunFor(std::chrono::milliseconds(20));
    }
    REQUIRE(after);
    const auto reader = log.OpenReader("small", p0, Offset(0));
    std::vector<std::string> values = world.ReadAll(*reader);
    REQUIRE_FALSE(values.empty());
    CHECK(values.back() == "after");
    values.pop_back();
    CHECK(values.size() <= kRefused);
    for (size_t i = 0; i < values.size(); ++i) CHECK(std::stoul(values[i]) == i);
    for (size_t i = 0; i < kAppends; ++i) CHECK((!written[i] || i < values.size()));
    // One that comes alone is blamed itself, and for good.
    CHECK(world.Append("small", large).error().code == Code::kInvalidArgument);
  }

  SECTION("Kafka's own tool shows how far a pipeline is behind, and which cluster it is") {
    REQUIRE(world.Run(log.CreateTopic({"lag", 1})).ok());
    for (int i = 0; i < 7; ++i) world.Append("lag", "x").value();
    REQUIRE(world.Run(log.CreateTopic({"lag2", 2})).ok());
    log.NoteProgress({"default-v", "lag", p0, Offset(2)});
    log.NoteProgress({"default-v", "lag", p0, Offset(3)});
    log.NoteProgress({"default-v", "lag2", PartitionId(1), Offset(0)});
    log.NoteProgress({"default-w", "lag", p0, Offset(7)});
    const auto shown = [&](const std::string& group, const std::string& topic) {
      const std::string all =
          broker.Tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
                      {"--describe", "--group", group});
      const size_t at = all.find(topic + " ");
      std::string row = at == all.npos ? "" : all.substr(at, all.find('\n', at) - at);
      const auto blanks = [](char a, char b) { return a == ' ' && b == ' '; };
      row.erase(std::unique(row.begin(), row.end(), blanks), row.end());
      return row;
    };
    // The broker makes the topic of groups when it is first asked for one.
    std::string row;
    for (int i = 0; i < 20 && row.find("lag 0 3 7 4") == row.npos; ++i)
      row = shown("millrace-default-v", "lag");
    CHECK_THAT(row, ContainsText("lag 0 3 7 4"));
    CHECK_THAT(shown("millrace-default-v", "lag2"), ContainsText("lag2 1 0 0 0"));
    for (int i = 0; i < 20 && row.find("lag 0 7 7 0") == row.npos; ++i)
      row = shown("millrace-default-w", "lag");
    CHECK_THAT(row, ContainsText("lag 0 7 7 0"));
    CHECK(world.Run(log.Identity()).value() == "bWlsbHJhY2UtdGVzdHMtMQ");
  }
}

TEST_CASE("a log in Kafka loses nothing and doubles no order when its broker is away") {
  if (test::SkipWithout(test::KafkaBroker::Missing())) return;
  test::KafkaBroker broker;
  World world(broker.address());
  KafkaLog& log = *world.log;
  REQUIRE(world.Run(log.CreateTopic({"t", 1})).ok());
  const auto reader = log.OpenReader("t", p0, Offset(0));

  // A writer as the gateway is one: many appends at once, a new chain after each failure.
  constexpr int kAppends = 3'000;
  constexpr int kAtOnce = 100;
  int answered = 0;
  int failed = 0;
  std::vector<std::shared_ptr<AppendChain>> chains;
  const auto start = [&](int n) {
    if (chains.empty() || chains.back()->broken) chains.push_back(std::make_shared<AppendChain>());
    const std::string value = std::to_string(chains.size()) + " " + std::to_string(n);
    world.executor.Spawn([](KafkaLog& l, std::string v, std::shared_ptr<AppendChain> chain,
                            int& done, int& bad) -> Task<> {
      LogEntry entry{"", std::move(v), {}, std::move(chain)};
      const auto offset = co_await l.Append("t", p0, std::move(entry));
      ++done;
      if (!offset.ok()) ++bad;
    }(log, value, chains.back(), answered, failed));
  };
  int started = 0;
  bool killed = false;
  bool back = false;
  while (answered < kAppends) {
    while (started < kAppends && started - answered < kAtOnce) start(started++);
    world.executor.RunFor(microseconds(100));
    if (!killed && answered > kAppends / 3) {
      broker.Kill();
      killed = true;
    }
    if (killed && !back && failed > 0) {
      broker.Start();
      back = true;
    }
  }
  CHECK(failed > 0);
  CHECK(world.Append("t", "0 0").ok());

  // Within a chain what was written has no gap and no step back, whatever its writer was told.
  std::vector<std::string> values;
  while (values.empty() || values.back() != "0 0") {
    const auto batch = world.Run(reader->Next(1 << 20, std::chrono::milliseconds(100)));
    if (!batch.ok()) continue;
    for (const LogRecord& record : batch->records) values.emplace_back(record.value);
  }
  std::vector<int> last(chains.size() + 1, -1);
  int gaps = 0;
  for (const std::string& value : values) {
    const auto chain = static_cast<size_t>(std::stoi(value));
    const int n = std::stoi(value.substr(value.find(' ')));
    if (chain == 0) continue;
    if (last[chain] >= 0 && n != last[chain] + 1) ++gaps;
    last[chain] = n;
  }
  CHECK(gaps == 0);
  CHECK(values.size() + static_cast<size_t>(failed) >= static_cast<size_t>(kAppends));
}

TEST_CASE("a log in Kafka without a broker answers by its deadline and says what is wrong") {
  const int port = test::FreePorts()[0];
  World world("127.0.0.1:" + std::to_string(port));
  const Result<Offset> appended = world.Append("t", "x");
  REQUIRE_FALSE(appended.ok());
  CHECK(appended.error().code == Code::kResourceExhausted);
  CHECK_THAT(appended.error().message, ContainsText("refused"));
  const auto range = world.Run(world.log->Range("t", p0));
  REQUIRE_FALSE(range.ok());
  CHECK(range.error().code == Code::kUnavailable);
  CHECK_THAT(range.error().message, ContainsText("brokers_said="));
  const auto reader = world.log->OpenReader("t", p0, Offset(0));
  CHECK(world.Run(reader->Next(1, microseconds(0))).error().code == Code::kUnavailable);
}
