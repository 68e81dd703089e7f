#include "millrace/control/changes.h"

#include "logged.h"

namespace millrace::control {
namespace {

/// A reader that follows the log, and what it says changed.
struct Followed : Logged {
  Followed() {
    REQUIRE(executor.RunUntilDone(reader.Start()).ok());
    executor.Spawn(reader.Follow());
    feed.Take();
  }
  ~Followed() { reader.Stop(); }

  Changes After(Record record) {
    Append(std::move(record));
    REQUIRE(executor.RunUntilDone(reader.CatchUp()).ok());
    return feed.Take();
  }

  ControlReader reader{&log};
  ChangeFeed feed{&reader};
};

}  // namespace

TEST_CASE_METHOD(Followed,
                 "a reader says which streams, views, shards and settings records change") {
  const Incarnation view = shard.incarnation;
  const ShardId other{view, PartitionId(0)};
  Changes changes = After(Assign{{1, 0}, shard, {"b", 2}, Epoch(2)});
  CHECK(changes.shards == std::set<ShardId>{shard});
  CHECK_FALSE(changes.definitions());

  const Incarnation stream{"default", stream_spec.name, Offset(1)};
  changes = After(Set{{1, 0}, stream, std::string(kKeepFor), "5"});
  CHECK(changes.settings == std::set<Incarnation>{stream});
  CHECK_FALSE(changes.definitions());

  changes = After(Drop{{1, 0}, view});
  CHECK(changes.views == std::set<Incarnation>{view});
  CHECK(changes.shards == std::set<ShardId>{other, shard});
  CHECK(changes.definitions());

  const Offset defined = end();
  changes = After(Define{{1, 0}, pipeline, {Offset(0), Offset(5)}, Offset(1)});
  const Incarnation again{"default", "r", defined};
  CHECK(changes.views == std::set<Incarnation>{again});
  CHECK(changes.shards == std::set<ShardId>{{again, PartitionId(0)}, {again, PartitionId(1)}});

  After(Drop{{1, 0}, again});
  changes = After(DropStream{{1, 0}, "default", stream_spec.name, Offset(1), {}});
  CHECK(changes.streams == std::set<Incarnation>{stream});
  const Offset declared = end();
  changes = After(DefineStream{{1, 0}, stream_spec});
  CHECK(changes.streams == std::set<Incarnation>{{"default", stream_spec.name, declared}});

  changes = After(Claim{2, "c", {"b", 1}});
  CHECK(changes.leader);
  CHECK(changes.shards.empty());
}

TEST_CASE_METHOD(Followed, "commits, beats and records without effect change nothing") {
  AppendCommit();
  CHECK(After(Beat{{1, 0}, 5}).empty());
  // Of an epoch that was before.
  CHECK(After(Assign{{1, 0}, shard, {"b", 2}, Epoch(1)}).empty());
  CHECK(After(Beat{{1, 0}, 0}).leader);
}

TEST_CASE_METHOD(Followed, "one that looks seldom keeps a bounded number of names") {
  Changes all;
  for (size_t i = 0; i <= Changes::kMostNames; ++i) {
    CHECK_FALSE(all.everything);
    Changes one;
    one.views.insert({"default", "v" + std::to_string(i), Offset(9)});
    all.Add(one);
  }
  CHECK(all.everything);
  CHECK(all.views.empty());
}

TEST_CASE_METHOD(Logged,
                 "one that looked before the first reading hears of what a snapshot holds") {
  AppendSnapshot();
  AppendCommit();
  LogFrom trimmed(&log, Offset(4));
  ControlReader reader(&trimmed);
  ChangeFeed feed(&reader);
  CHECK(feed.Take().everything);
  CHECK(reader.fold().streams().empty());
  REQUIRE(executor.RunUntilDone(reader.Start()).ok());
  REQUIRE(reader.fold().streams().size() == 1);
  CHECK(feed.Take().everything);
}

TEST_CASE("a feed may outlive its reader") {
  InMemoryLog log;
  auto reader = std::make_unique<ControlReader>(&log);
  ChangeFeed feed(reader.get());
  reader.reset();
  CHECK(feed.Take().everything);
}

}  // namespace millrace::control
