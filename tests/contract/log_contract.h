#pragma once

#include <algorithm>
#include <functional>
#include <iostream>
#include <memory>
#include <string>

#include "millrace/log/log.h"
#include "support/catch.h"
#include "support/read_log.h"
#include "support/test_executor.h"

namespace millrace::test {

/// An empty log, and what the suite must know of it.
struct LogFixture {
  std::unique_ptr<EventLog> log;
  size_t max_record_bytes = 0;
  /// Moves the clock that gives append times. Null: nobody can, as with a broker's.
  std::function<void(Micros)> shift_clock;
  /// That clock, if it is not the executor's.
  std::function<Micros()> wall{};
  /// Append times are multiples of it.
  Micros time_unit = 1;
};

/// Says that a body is not tested for a part of the contract, and why. The test case passes.
inline void CannotBeTested(const std::string& part, const std::string& why) {
  std::cout << "NOT TESTED: " << part << ": " << why << std::endl;
}

/// What every body of the port `log` promises. Call this alone in a test case.
inline void CheckLogContract(TestExecutor& executor, const std::function<LogFixture()>& make) {
  using std::chrono::microseconds;
  constexpr microseconds kNoWait(0);
  const PartitionId p0(0);
  const PartitionId p1(1);
  const LogFixture fixture = make();
  EventLog* const log = fixture.log.get();
  const auto run = [&](auto task) { return executor.RunUntilDone(std::move(task)); };
  const auto append = [&](PartitionId p, std::string value) {
    return run(log->Append("t", p, {"", std::move(value), {}}));
  };
  const auto read = [&](PartitionId p, Offset from = Offset(0)) {
    return run(ReadLog(log, "t", p, from));
  };
  REQUIRE(run(log->CreateTopic({"t", 2})).ok());

  SECTION("a topic is created once, and stands as it was created") {
    CHECK(run(log->CreateTopic({"t", 2})).ok());
    CHECK(run(log->CreateTopic({"t", 3})).error().code == Code::kConflict);
    REQUIRE(run(log->CreateTopic({"a", 1})).ok());
    const TopicSpec a = run(log->DescribeTopic("a")).value();
    const TopicSpec t = run(log->DescribeTopic("t")).value();
    CHECK(a.name == "a");
    CHECK(a.partitions == 1);
    CHECK(t.partitions == 2);
    CHECK(a.id != t.id);
  }

  SECTION("a removed topic is gone with its records, and its name is free") {
    append(p0, "old").value();
    const auto topic = [&] { return run(log->DescribeTopic("t")).value(); };
    const TopicSpec first = topic();
    Completion<bool> told;
    const Offset end = run(log->Range("t", p0)).value().end;
    const auto reader = log->OpenReader("t", p0, end);
    const auto untouched = log->OpenReader("t", p0, Offset(0));
    CHECK(run(reader->Next(1, kNoWait)).value().records.empty());
    executor.Spawn([](LogReader& r, Completion<bool> out) -> Task<> {
      const auto batch = co_await r.Next(1, std::chrono::hours(24));
      out.Set(!batch.ok() && batch.error().code == Code::kUnavailable);
    }(*reader, told));
    executor.RunFor(microseconds(10));

    REQUIRE(run(log->RemoveTopic(first)).ok());
    CHECK(run(log->DescribeTopic("t")).error().code == Code::kNotFound);
    CHECK_FALSE(append(p0, "too late").ok());
    CHECK_FALSE(run(log->Range("t", p0)).ok());
    CHECK(run([](Completion<bool> c) -> Task<bool> {
      const bool b = co_await c;
      co_return b;
    }(told)));

    REQUIRE(run(log->CreateTopic({"t", 1})).ok());
    CHECK(topic().id != first.id);
    CHECK(run(log->Range("t", p0)).value().end == Offset(0));
    append(p0, "new").value();
    // Whoever is told late to remove the first one must not take the second one.
    REQUIRE(run(log->RemoveTopic(first)).ok());
    CHECK(read(p0).value().at(0).value == "new");
    CHECK(run(log->RemoveTopic({"never", 1, "1"})).ok());
    // Who has read the first one reads nothing of the second one.
    CHECK(run(reader->Next(1, kNoWait)).error().code == Code::kUnavailable);
    CHECK(run(untouched->Next(1, kNoWait)).value().records.at(0).value == "new");
  }

  SECTION("appends that a removal overtakes never reach the next topic of the name") {
    const TopicSpec first = run(log->DescribeTopic("t")).value();
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
    append(p0, "new").value();
    while (answered < kWriters) executor.RunFor(microseconds(10));
    CHECK(read(p0).value().size() == 1);
  }

  SECTION("what was never created is not found") {
    const PartitionId p = GENERATE(PartitionId(-1), PartitionId(2), PartitionId(0));
    const std::string topic = p.value == 0 ? "other" : "t";
    // A producer must not take it for final: the topic may be on its way.
    CHECK(run(log->Append(topic, p, {})).error().code == Code::kUnavailable);
    // A reader must not either.
    CHECK(run(ReadLog(log, topic, p)).error().code == Code::kUnavailable);
    CHECK(run(log->Range(topic, p)).error().code == Code::kNotFound);
    CHECK(run(log->OffsetForTime(topic, p, 0)).error().code == Code::kNotFound);
    CHECK(run(log->Bytes(topic, p, Offset(0))).error().code == Code::kNotFound);
    CHECK(run(log->DeleteBefore(topic, p, Offset(0))).error().code == Code::kNotFound);
    CHECK(run(log->DescribeTopic("other")).error().code == Code::kNotFound);
  }

  SECTION("offsets rise per partition, and a read gives back what was written") {
    std::vector<Offset> offsets = {append(p0, "zero").value()};
    append(p1, "other").value();
    const std::string binary("a\0\xff", 3);
    offsets.push_back(
        run(log->Append("t", p0, {binary, "one", {{"h", binary}, {"h", ""}}})).value());
    offsets.push_back(append(p0, std::string(100'000, 'x')).value());
    CHECK(std::is_sorted(offsets.begin(), offsets.end(), std::less_equal<>()));

    const auto records = read(p0).value();
    REQUIRE(records.size() == 3);
    CHECK(records[0].value == "zero");
    for (size_t i = 0; i < 3; ++i) CHECK(records[i].offset == offsets[i]);
    CHECK(records[1].key == binary);
    CHECK(records[1].value == "one");
    CHECK(records[1].headers == std::vector<LogHeader>{{"h", binary}, {"h", ""}});
    CHECK(records[2].value == std::string(100'000, 'x'));
    for (const LogRecord& r : records) {
      CHECK(reinterpret_cast<uintptr_t>(r.value.data()) % 8 == 0);
    }
    const auto range = run(log->Range("t", p0)).value();
    CHECK(range.start <= offsets.front());
    CHECK(range.end > offsets.back());
  }

  SECTION("records outlive the read that gave them") {
    append(p0, "kept").value();
    const LogRecord kept = read(p0).value().at(0);
    for (int i = 0; i < 100; ++i) append(p0, "more").value();
    CHECK(kept.value == "kept");
  }

  SECTION("a read starts where it is told and stops near its limit, but gives at least one") {
    std::vector<Offset> offsets;
    for (int i = 0; i < 10; ++i)
      offsets.push_back(append(p0, std::string(100, static_cast<char>('0' + i))).value());
    const auto one = run(ReadLog(log, "t", p0, offsets[4], 1)).value();
    REQUIRE(one.size() == 1);
    CHECK(one[0].value[0] == '4');
    const auto few = run(ReadLog(log, "t", p0, offsets[4], 250)).value();
    CHECK(few.size() >= 2);
    CHECK(few.size() <= 3);
    CHECK(read(p0, run(log->Range("t", p0)).value().end).value().empty());
  }

  SECTION("a reader goes on where it stopped, past offsets that hold nothing, up to the end") {
    std::vector<Offset> offsets;
    for (int i = 0; i < 10; ++i) offsets.push_back(append(p0, std::to_string(i)).value());
    const auto reader = log->OpenReader("t", p0, Offset(0));
    std::vector<Offset> read_offsets;
    Offset place(0);
    for (int calls = 0; calls < 50; ++calls) {
      const LogBatch batch = run(reader->Next(1, kNoWait)).value();
      for (const LogRecord& record : batch.records) {
        CHECK(record.offset >= place);
        CHECK(record.offset < batch.next);
        CHECK(record.value == std::to_string(read_offsets.size()));
        read_offsets.push_back(record.offset);
      }
      CHECK(batch.next >= place);
      CHECK(batch.end == run(log->Range("t", p0)).value().end);
      place = batch.next;
      if (place == batch.end) break;
    }
    CHECK(read_offsets == offsets);
    CHECK(place == run(log->Range("t", p0)).value().end);
    const Offset later = append(p0, "later").value();
    CHECK(run(reader->Next(1, kNoWait)).value().records.at(0).offset == later);
  }

  SECTION("a position outside the log is no damage, and never an empty read") {
    append(p0, "x").value();
    const int64_t end = run(log->Range("t", p0)).value().end.value;
    const Offset outside = GENERATE_COPY(Offset(-1), Offset(end + 1));
    const auto reader = log->OpenReader("t", p0, outside);
    CHECK(run(reader->Next(1, kNoWait)).error().code == Code::kConflict);
    CHECK(run(reader->Next(1, kNoWait)).error().code == Code::kConflict);
  }

  SECTION("a reader at the end waits for the next append, and no longer than it was told") {
    const auto before = executor.Monotonic();
    const auto waiting = log->OpenReader("t", p0, Offset(0));
    CHECK(run(waiting->Next(1'000, microseconds(7'000))).value().records.empty());
    CHECK(executor.Monotonic() - before >= microseconds(7'000));

    Completion<std::string> seen;
    executor.Spawn([](LogReader& r, Completion<std::string> out) -> Task<> {
      const auto batch = co_await r.Next(1'000, std::chrono::hours(24));
      const bool some = batch.ok() && !batch->records.empty();
      out.Set(some ? std::string(batch->records.at(0).value) : "none");
    }(*waiting, seen));
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

  const auto soon = [&](Micros at, Micros from) {
    return at > from - fixture.time_unit && at < from + 60 * kSecond;
  };
  const auto wall = [&] { return fixture.wall ? fixture.wall() : executor.Wall(); };

  SECTION("append times are what the clock says") {
    const Micros before = wall();
    append(p0, "a").value();
    append(p1, "b").value();
    CHECK(soon(read(p0).value().at(0).append_time, before));
    CHECK(soon(read(p1).value().at(0).append_time, before));
  }

  SECTION("append times are what the clock says, also where it steps back") {
    if (!fixture.shift_clock)
      return CannotBeTested("append times where the clock steps back", "the clock is not ours");
    const Micros before = wall();
    append(p0, "a").value();
    fixture.shift_clock(3600 * kSecond);
    append(p0, "b").value();
    fixture.shift_clock(-3600 * kSecond);
    append(p0, "c").value();
    append(p1, "d").value();
    const auto r = read(p0).value();
    REQUIRE(r.size() == 3);
    CHECK(soon(r[0].append_time, before));
    CHECK(soon(r[1].append_time, before + 3600 * kSecond));
    CHECK(soon(r[2].append_time, before));
    const auto d = read(p1).value();
    CHECK(soon(d.at(0).append_time, before));
  }

  SECTION("a time is found as the first record not before it, whatever stands behind") {
    CHECK(run(log->OffsetForTime("t", p0, 0)).value() == run(log->Range("t", p0)).value().end);
    for (int i = 0; i < 12; ++i) {
      append(p0, "x").value();
      if (i % 3 == 2 && fixture.shift_clock) fixture.shift_clock(i == 5 ? -kSecond / 2 : kSecond);
    }
    std::vector<Micros> times;
    const auto records = read(p0).value();
    for (const LogRecord& r : records) times.push_back(r.append_time);
    const Offset end = run(log->Range("t", p0)).value().end;
    if (fixture.shift_clock)
      CHECK_FALSE(std::is_sorted(times.begin(), times.end()));
    else
      CannotBeTested("times found where the clock stepped back", "the clock is not ours");
    for (const Micros t : times) {
      for (const Micros d : {-1, 0, 1}) {
        const auto first =
            std::find_if(times.begin(), times.end(), [&](Micros at) { return at >= t + d; });
        const auto at = static_cast<size_t>(first - times.begin());
        CHECK(run(log->OffsetForTime("t", p0, t + d)).value() ==
              (first == times.end() ? end : records[at].offset));
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
    const auto records = read(p0).value();
    REQUIRE(records.size() == kWriters + 1);
    for (size_t i = 0; i < kWriters; ++i) {
      CHECK(records[i].offset == Offset(offsets[i]));
      CHECK(records[i].value == std::to_string(i));
    }
  }

  SECTION("an append whose chain is broken is not made") {
    const auto chain = std::make_shared<AppendChain>();
    const auto linked = [&](std::string value) {
      return run(log->Append("t", p0, {"", std::move(value), {}, chain}));
    };
    REQUIRE(linked("zero").ok());
    CHECK(linked(std::string(fixture.max_record_bytes + 1, 'x')).error().code ==
          Code::kInvalidArgument);
    REQUIRE(linked("one").ok());
    CHECK_FALSE(chain->broken);
    chain->broken = true;
    CHECK(linked("behind a failed one").error().code == Code::kResourceExhausted);
    REQUIRE(append(p0, "of no chain").ok());
    REQUIRE(
        run(log->Append("t", p0, {"", "of another", {}, std::make_shared<AppendChain>()})).ok());
    CHECK(read(p0).value().size() == 4);
  }

  SECTION("what lies before a place is deleted, and the rest stays as it was") {
    for (int i = 0; i < 10; ++i) {
      append(p0, std::to_string(i)).value();
      append(p1, "of the other partition").value();
      if (fixture.shift_clock) fixture.shift_clock(kSecond);
    }
    const auto all = read(p0).value();
    const auto range = run(log->Range("t", p0)).value();
    const Offset before = GENERATE_COPY(as<Offset>{}, all[4].offset, all[9].offset, range.end);
    const auto reader = log->OpenReader("t", p0, Offset(0));
    CHECK(run(reader->Next(1, kNoWait)).ok());
    REQUIRE(run(log->DeleteBefore("t", p0, before)).ok());
    const auto check = [&](const std::vector<LogRecord>& there, Offset end) {
      const auto now = run(log->Range("t", p0)).value();
      CHECK(now.start == before);
      CHECK(now.end == end);
      const auto rest = read(p0, before).value();
      const auto first = std::find_if(there.begin(), there.end(),
                                      [&](const LogRecord& r) { return r.offset >= before; });
      REQUIRE(rest.size() == static_cast<size_t>(there.end() - first));
      for (size_t i = 0; i < rest.size(); ++i) {
        CHECK(rest[i].offset == (first + static_cast<std::ptrdiff_t>(i))->offset);
        CHECK(rest[i].value == (first + static_cast<std::ptrdiff_t>(i))->value);
      }
      // No time is found among what is gone.
      CHECK(run(log->OffsetForTime("t", p0, 0)).value() == (rest.empty() ? end : rest[0].offset));
      CHECK(read(p1).value().size() == 10);
    };
    check(all, range.end);
    // Whoever stands below it learns that it is gone, and that it is no damage.
    CHECK(read(p0, Offset(before.value - 1)).error().code == Code::kConflict);

    // So does one that stood there, behind what it had fetched before.
    for (bool ended = false; !ended;) {
      const auto batch = run(reader->Next(1, kNoWait));
      if (!batch.ok()) CHECK(batch.error().code == Code::kConflict);
      ended = !batch.ok() || batch->next == batch->end;
    }

    // The same again, or less, changes nothing.
    CHECK(run(log->DeleteBefore("t", p0, before)).ok());
    CHECK(run(log->DeleteBefore("t", p0, Offset(0))).ok());
    CHECK(run(log->DeleteBefore("t", p0, Offset(-1))).ok());
    check(all, range.end);

    // Offsets are not given again.
    const Offset next = append(p0, "next").value();
    CHECK(next >= range.end);
    auto more = all;
    more.push_back(read(p0, next).value().at(0));
    check(more, run(log->Range("t", p0)).value().end);
  }

  SECTION("nothing is deleted past the end") {
    append(p0, "x").value();
    const Offset end = run(log->Range("t", p0)).value().end;
    CHECK(run(log->DeleteBefore("t", p0, Offset(end.value + 1))).error().code == Code::kConflict);
    CHECK(read(p0).value().size() == 1);
    CHECK(run(log->DeleteBefore("t", p1, Offset(1))).error().code == Code::kConflict);
    CHECK(run(log->DeleteBefore("t", p1, Offset(0))).ok());
  }

  SECTION("a reader that waits at the end reads on when what lies before it is deleted") {
    append(p0, "old").value();
    const Offset end = run(log->Range("t", p0)).value().end;
    const auto reader = log->OpenReader("t", p0, end);
    Completion<std::string> seen;
    executor.Spawn([](LogReader& r, Completion<std::string> out) -> Task<> {
      const auto batch = co_await r.Next(1'000, std::chrono::hours(24));
      const bool some = batch.ok() && !batch->records.empty();
      out.Set(some ? std::string(batch->records.at(0).value) : "none");
    }(*reader, seen));
    executor.RunFor(microseconds(10));
    REQUIRE(run(log->DeleteBefore("t", p0, end)).ok());
    append(p0, "new").value();
    CHECK(run([](Completion<std::string> c) -> Task<std::string> {
            std::string s = co_await c;
            co_return s;
          }(seen)) == "new");
  }

  SECTION("a log tells how many bytes its records take, or that it cannot") {
    const std::string value(1'000, 'v');
    std::vector<Offset> offsets;
    for (int i = 0; i < 10; ++i) offsets.push_back(append(p0, value).value());
    const auto all = run(log->Bytes("t", p0, Offset(0)));
    if (!all.ok()) {
      CHECK(all.error().code == Code::kConflict);
      return;
    }
    // A record has a head besides its value.
    CHECK(*all >= 10'000);
    CHECK(*all < 12'000);
    CHECK(run(log->Bytes("t", p0, offsets[4])).value() == *all * 6 / 10);
    CHECK(run(log->Bytes("t", p0, Offset(offsets[9].value + 1))).value() == 0);
    CHECK(run(log->Bytes("t", p1, Offset(0))).value() == 0);
    REQUIRE(run(log->DeleteBefore("t", p0, offsets[5])).ok());
    CHECK(run(log->Bytes("t", p0, Offset(0))).value() == *all / 2);
  }

  SECTION("a log has an identity, which stays") {
    const std::string identity = run(log->Identity()).value();
    CHECK_FALSE(identity.empty());
    CHECK(identity.size() <= 64);
    append(p0, "x").value();
    CHECK(run(log->Identity()).value() == identity);
  }

  SECTION("a record past the limit is refused, and one of that size is taken") {
    CHECK(append(p0, std::string(fixture.max_record_bytes + 1, 'x')).error().code ==
          Code::kInvalidArgument);
    REQUIRE(append(p0, std::string(fixture.max_record_bytes, 'x')).ok());
    CHECK(read(p0).value().size() == 1);
  }
}

}  // namespace millrace::test
