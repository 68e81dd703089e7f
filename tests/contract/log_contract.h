#pragma once

#include <functional>
#include <memory>
#include <string>

#include "millrace/log/log.h"
#include "support/catch.h"
#include "support/test_executor.h"

namespace millrace::test {

/// What every body of the port `log` promises. `make` gives an empty log; call this alone in a test
/// case.
inline void CheckLogContract(TestExecutor& executor,
                             const std::function<std::unique_ptr<EventLog>()>& make) {
  using std::chrono::microseconds;
  constexpr microseconds kNoWait(0);
  constexpr size_t kAll = size_t{1} << 30;
  const PartitionId p0(0);
  const PartitionId p1(1);
  const std::unique_ptr<EventLog> log = make();
  const auto run = [&](auto task) { return executor.RunUntilDone(std::move(task)); };
  const auto append = [&](PartitionId p, std::string value) {
    return run(log->Append("t", p, {"", std::move(value), {}}));
  };
  REQUIRE(run(log->CreateTopic({"t", 2})).ok());

  SECTION("a topic is created once, and stands as it was created") {
    CHECK(run(log->CreateTopic({"t", 2})).ok());
    CHECK(run(log->CreateTopic({"t", 3})).error().code == Code::kConflict);
    REQUIRE(run(log->CreateTopic({"a", 1})).ok());
    const auto topics = run(log->ListTopics()).value();
    REQUIRE(topics.size() == 2);
    CHECK(topics[0].name == "a");
    CHECK(topics[1].partitions == 2);
  }

  SECTION("a removed topic is gone with its records, and its name is free") {
    append(p0, "old").value();
    const auto topic = [&] { return run(log->ListTopics()).value().at(0); };
    const TopicSpec first = topic();
    Completion<bool> told;
    executor.Spawn([](EventLog& l, Completion<bool> out) -> Task<> {
      const auto read = co_await l.Read("t", PartitionId(0), Offset(1), 1, std::chrono::hours(24));
      out.Set(!read.ok());
    }(*log, told));
    executor.RunFor(microseconds(10));

    REQUIRE(run(log->RemoveTopic(first)).ok());
    CHECK(run(log->ListTopics()).value().empty());
    CHECK_FALSE(append(p0, "too late").ok());
    CHECK_FALSE(run(log->Range("t", p0)).ok());
    CHECK(run([](Completion<bool> c) -> Task<bool> {
      const bool b = co_await c;
      co_return b;
    }(told)));

    REQUIRE(run(log->CreateTopic({"t", 1})).ok());
    CHECK(topic().id != first.id);
    CHECK(run(log->Range("t", p0)).value().end == Offset(0));
    CHECK(append(p0, "new").value() == Offset(0));
    // Whoever is told late to remove the first one must not take the second one.
    REQUIRE(run(log->RemoveTopic(first)).ok());
    CHECK(run(log->Read("t", p0, Offset(0), kAll, kNoWait)).value().at(0).value == "new");
    CHECK(run(log->RemoveTopic({"never", 1, "1"})).ok());
  }

  SECTION("appends that a removal overtakes never reach the next topic of the name") {
    const TopicSpec first = run(log->ListTopics()).value().at(0);
    constexpr int kWriters = 100;
    int answered = 0;
    for (int i = 0; i < kWriters; ++i) {
      executor.Spawn([](EventLog& l, int& n) -> Task<> {
        LogEntry entry{"", std::string(10'000, 'x'), {}};
        const auto offset = co_await l.Append("t", PartitionId(0), std::move(entry));
        offset.Ignore("written or not, it is no record of the next topic");
        ++n;
      }(*log, answered));
    }
    executor.RunFor(microseconds(1));
    REQUIRE(run(log->RemoveTopic(first)).ok());
    REQUIRE(run(log->CreateTopic({"t", 2})).ok());
    CHECK(append(p0, "new").value() == Offset(0));
    while (answered < kWriters) executor.RunFor(microseconds(10));
    CHECK(run(log->Range("t", p0)).value().end == Offset(1));
  }

  SECTION("what was never created is not found") {
    const PartitionId p = GENERATE(PartitionId(-1), PartitionId(2), PartitionId(0));
    const std::string topic = p.value == 0 ? "other" : "t";
    // A producer must not take it for final: the topic may be on its way.
    CHECK(run(log->Append(topic, p, {})).error().code == Code::kUnavailable);
    CHECK(run(log->Read(topic, p, Offset(0), kAll, kNoWait)).error().code == Code::kNotFound);
    CHECK(run(log->Range(topic, p)).error().code == Code::kNotFound);
    CHECK(run(log->OffsetForTime(topic, p, 0)).error().code == Code::kNotFound);
  }

  SECTION("offsets rise by one per partition, and a read gives back what was written") {
    CHECK(append(p0, "zero").value() == Offset(0));
    CHECK(append(p1, "other").value() == Offset(0));
    const std::string binary("a\0\xff", 3);
    CHECK(run(log->Append("t", p0, {binary, "one", {{"h", binary}, {"h", ""}}})).value() ==
          Offset(1));
    CHECK(run(log->Append("t", p0, {"", std::string(100'000, 'x'), {}})).value() == Offset(2));

    const auto records = run(log->Read("t", p0, Offset(0), kAll, kNoWait)).value();
    REQUIRE(records.size() == 3);
    CHECK(records[0].value == "zero");
    CHECK(records[1].offset == Offset(1));
    CHECK(records[1].key == binary);
    CHECK(records[1].value == "one");
    CHECK(records[1].headers == std::vector<LogHeader>{{"h", binary}, {"h", ""}});
    CHECK(records[2].value == std::string(100'000, 'x'));
    for (const LogRecord& r : records) {
      CHECK(reinterpret_cast<uintptr_t>(r.value.data()) % 8 == 0);
    }
    const auto range = run(log->Range("t", p0)).value();
    CHECK(range.start == Offset(0));
    CHECK(range.end == Offset(3));
  }

  SECTION("records outlive the read that gave them") {
    append(p0, "kept").value();
    const LogRecord kept = run(log->Read("t", p0, Offset(0), kAll, kNoWait)).value().at(0);
    for (int i = 0; i < 100; ++i) append(p0, "more").value();
    CHECK(kept.value == "kept");
  }

  SECTION("a read starts where it is told and stops near its limit, but gives at least one") {
    for (int i = 0; i < 10; ++i) append(p0, std::string(100, static_cast<char>('0' + i))).value();
    const auto one = run(log->Read("t", p0, Offset(4), 1, kNoWait)).value();
    REQUIRE(one.size() == 1);
    CHECK(one[0].value[0] == '4');
    const auto few = run(log->Read("t", p0, Offset(4), 250, kNoWait)).value();
    CHECK(few.size() >= 2);
    CHECK(few.size() <= 3);
    CHECK(run(log->Read("t", p0, Offset(10), kAll, kNoWait)).value().empty());
  }

  SECTION("a position outside the log is damage, never an empty read") {
    append(p0, "x").value();
    const Offset outside = GENERATE(Offset(-1), Offset(2));
    CHECK(run(log->Read("t", p0, outside, kAll, kNoWait)).error().code == Code::kCorruption);
  }

  SECTION("a reader at the end waits for the next append, and no longer than it was told") {
    const auto before = executor.Monotonic();
    CHECK(run(log->Read("t", p0, Offset(0), kAll, microseconds(7'000))).value().empty());
    CHECK(executor.Monotonic() - before >= microseconds(7'000));

    Completion<std::string> seen;
    executor.Spawn([](EventLog& l, PartitionId p, Completion<std::string> out) -> Task<> {
      const auto records = co_await l.Read("t", p, Offset(0), 1'000, std::chrono::hours(24));
      out.Set(records.ok() && !records->empty() ? std::string(records->at(0).value) : "none");
    }(*log, p0, seen));
    executor.RunFor(microseconds(10));
    const auto appended_at = executor.Monotonic();
    append(p1, "elsewhere").value();
    append(p0, "wake up").value();
    CHECK(run([](Completion<std::string> c) -> Task<std::string> {
            std::string s = co_await c;
            co_return s;
          }(seen)) == "wake up");
    CHECK(executor.Monotonic() - appended_at < std::chrono::hours(1));
  }

  SECTION("append times are what the clock says, also where it steps back") {
    const Micros before = executor.Wall();
    append(p0, "a").value();
    executor.ShiftWall(3600 * kSecond);
    append(p0, "b").value();
    executor.ShiftWall(-3600 * kSecond);
    append(p0, "c").value();
    append(p1, "d").value();
    const auto r = run(log->Read("t", p0, Offset(0), kAll, kNoWait)).value();
    REQUIRE(r.size() == 3);
    const auto soon = [&](Micros at, Micros from) {
      return at >= from && at < from + 60 * kSecond;
    };
    CHECK(soon(r[0].append_time, before));
    CHECK(soon(r[1].append_time, before + 3600 * kSecond));
    CHECK(soon(r[2].append_time, before));
    const auto d = run(log->Read("t", p1, Offset(0), kAll, kNoWait)).value();
    CHECK(soon(d.at(0).append_time, before));
  }

  SECTION("a time is found as the first record not before it, whatever stands behind") {
    CHECK(run(log->OffsetForTime("t", p0, 0)).value() == Offset(0));
    for (int i = 0; i < 12; ++i) {
      append(p0, "x").value();
      if (i % 3 == 2) executor.ShiftWall(i == 5 ? -kSecond / 2 : kSecond);
    }
    std::vector<Micros> times;
    for (const LogRecord& r : run(log->Read("t", p0, Offset(0), kAll, kNoWait)).value())
      times.push_back(r.append_time);
    CHECK_FALSE(std::is_sorted(times.begin(), times.end()));
    for (const Micros t : times) {
      for (const Micros d : {-1, 0, 1}) {
        const auto first =
            std::find_if(times.begin(), times.end(), [&](Micros at) { return at >= t + d; });
        CHECK(run(log->OffsetForTime("t", p0, t + d)).value() == Offset(first - times.begin()));
      }
    }
  }

  SECTION("appends started together land in the order they were started") {
    constexpr int kWriters = 200;
    std::vector<int64_t> offsets(kWriters, -1);
    for (int i = 0; i < kWriters; ++i) {
      executor.Spawn([](EventLog& l, PartitionId p, int n, int64_t& out) -> Task<> {
        // g++ 12 destroys a braced temporary of a co_await expression twice.
        LogEntry entry{"", std::to_string(n), {}};
        const auto offset = co_await l.Append("t", p, std::move(entry));
        out = offset.ok() ? offset->value : -2;
      }(*log, p0, i, offsets[static_cast<size_t>(i)]));
    }
    executor.RunFor(microseconds(1));
    append(p0, "last").value();
    executor.RunFor(microseconds(1));
    for (int i = 0; i < kWriters; ++i) CHECK(offsets[static_cast<size_t>(i)] == i);
    const auto records = run(log->Read("t", p0, Offset(0), kAll, kNoWait)).value();
    REQUIRE(records.size() == kWriters + 1);
    for (int i = 0; i < kWriters; ++i)
      CHECK(records[static_cast<size_t>(i)].value == std::to_string(i));
  }

  SECTION("an append whose chain is broken is not made") {
    const auto chain = std::make_shared<AppendChain>();
    const auto linked = [&](std::string value) {
      return run(log->Append("t", p0, {"", std::move(value), {}, chain}));
    };
    CHECK(linked("zero").value() == Offset(0));
    CHECK(linked(std::string(64 << 20, 'x')).error().code == Code::kInvalidArgument);
    CHECK(linked("one").value() == Offset(1));
    CHECK_FALSE(chain->broken);
    chain->broken = true;
    CHECK(linked("behind a failed one").error().code == Code::kResourceExhausted);
    CHECK(append(p0, "of no chain").value() == Offset(2));
    CHECK(run(log->Append("t", p0, {"", "of another", {}, std::make_shared<AppendChain>()}))
              .value() == Offset(3));
  }

  SECTION("a record past the limit is refused and leaves no hole") {
    CHECK(append(p0, std::string(64 << 20, 'x')).error().code == Code::kInvalidArgument);
    CHECK(append(p0, "fits").value() == Offset(0));
  }
}

}  // namespace millrace::test
