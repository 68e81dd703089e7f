#include "millrace/runtime/housekeeping.h"

#include "millrace/base/log.h"
#include "millrace/checkpoint/manifest.h"
#include "millrace/metrics/in_memory_metrics.h"
#include "millrace/model/object_keys.h"
#include "millrace/objectstore/in_memory_object_store.h"
#include "millrace/serving/in_memory_serving_store.h"
#include "millrace/sql/planner.h"
#include "support/catch.h"
#include "support/list_all.h"
#include "support/read_all.h"
#include "support/stamped.h"
#include "support/test_executor.h"
#include "support/two_shards_sql.h"

namespace millrace::runtime {
namespace {

/// A fold whose leader is "a", with two shards of epoch 2, and their objects.
struct Cluster {
  Cluster() {
    SetLogLevel(LogLevel::kOff);
    options.unnamed_object_age = std::chrono::hours(24);
    const auto statements = PlanScript(test::kTwoShardsSql).value();
    Fold(control::Claim{1, "c", {"a", 1}});
    Fold(control::DefineStream{{1, 0}, std::get<StreamSpec>(statements[0])});
    Fold(control::Define{{1, 0}, std::get<PipelineSpec>(statements[1]), {{}, {}}, Offset(1)});
    for (ShardId* shard : {&one, &other}) {
      *shard = {*fold.Current("default", "r"), PartitionId(shard == &one ? 0 : 1)};
      Fold(control::Assign{{1, 0}, *shard, {"a", 1}, Epoch(1)});
      Fold(control::Assign{{1, 0}, *shard, {"a", 1}, Epoch(2)});
    }
  }

  void Fold(const control::Record& record) {
    REQUIRE(fold.Apply(fold.next_offset(), 0, test::Stamped(fold, record)) ==
            control::Verdict::kValid);
  }
  /// The file `n` of an uploader.
  static std::string File(int64_t epoch, int n) {
    return std::to_string(epoch) + "-7-ab" + std::to_string(n) + "-123-4567.sst";
  }
  void Put(const ShardId& shard, const std::string& name, std::string bytes = "x") {
    REQUIRE(
        executor.RunUntilDone(objects.Put(StateFolder(shard) + name, Buffer::Own(std::move(bytes))))
            .ok());
  }
  /// A valid commit that names `files`, all of them there. Gives its manifest's name.
  std::string Commit(const ShardId& shard, const std::vector<std::string>& files) {
    const control::ShardState& state = fold.shards().at(shard);
    checkpoint::Manifest m;
    m.shard = shard;
    m.epoch = state.epoch;
    m.cut = CutNumber(state.last_cut.value + 1);
    for (const std::string& file : files) {
      const std::string object = StateFolder(shard) + file;
      if (file.ends_with(".rows")) {
        m.owed.push_back({object, 1, 2});
      } else {
        m.files.push_back({{}, object});
      }
      Put(shard, file);
    }
    const std::string bytes = checkpoint::Encode(m);
    const std::string name = "m-" + std::to_string(m.epoch.value) + "-" +
                             std::to_string(m.cut.value) + "-" + std::string(32, 'a');
    Put(shard, name, bytes);
    Fold(control::Commit{
        shard, m.epoch, m.cut, Offset(m.cut.value), StateFolder(shard) + name, Hash(bytes), {}});
    return name;
  }
  void Assign(const ShardId& shard) {
    Fold(control::Assign{{1, 0}, shard, {"a", 1}, Epoch(fold.shards().at(shard).epoch.value + 1)});
  }
  void Age(std::chrono::hours hours = std::chrono::hours(25)) { executor.RunFor(hours); }

  Housekeeping::Cleared ClearAll(const std::string& node = "a") {
    Housekeeping housekeeping(
        {nullptr, &objects, nullptr, &serving, nullptr, nullptr, nullptr, nullptr, nullptr,
         &metrics},
        options, [&] { return fold.leader().process.name == node; }, &fold);
    return executor.RunUntilDone(housekeeping.RunOnce());
  }
  int64_t Clear(const std::string& node = "a") { return ClearAll(node).objects; }
  bool There(const ShardId& shard, const std::string& name) {
    return executor.RunUntilDone(objects.Stat(StateFolder(shard) + name)).ok();
  }

  test::TestExecutor executor;
  InMemoryObjectStore objects;
  InMemoryServingStore serving;
  InMemoryMetrics metrics;
  Options options;
  control::Fold fold;
  ShardId one;
  ShardId other;
};

}  // namespace

TEST_CASE_METHOD(Cluster, "an old object of an older epoch that no kept commit names is deleted") {
  Put(one, File(1, 1));
  Put(one, "m-1-1-" + std::string(32, '0'));
  Age();
  CHECK(Clear() == 2);
  CHECK_FALSE(There(one, File(1, 1)));
  CHECK(executor.RunUntilDone(test::ListAll(&objects, "")).value().empty());
}

TEST_CASE_METHOD(Cluster, "what a kept commit names stays, whoever uploaded it") {
  const std::string rows = "1-7-ab-7-8.rows";
  const std::string manifest = Commit(one, {File(1, 1), File(2, 2), rows});
  Assign(one);
  Put(one, File(1, 3));
  Put(one, "1-7-ab-7-9.rows");
  Age();
  CHECK(Clear() == 2);
  CHECK(There(one, rows));
  CHECK(There(one, manifest));
  CHECK(There(one, File(1, 1)));
  CHECK(There(one, File(2, 2)));
  CHECK_FALSE(There(one, File(1, 3)));
}

TEST_CASE_METHOD(Cluster, "what only a commit before the last three named goes") {
  const std::string first = Commit(one, {File(2, 0)});
  std::vector<std::string> manifests;
  for (int n = 1; n <= 3; ++n) manifests.push_back(Commit(one, {File(2, n)}));
  Assign(one);
  Age();
  CHECK(Clear() == 2);
  CHECK_FALSE(There(one, first));
  CHECK_FALSE(There(one, File(2, 0)));
  for (int n = 1; n <= 3; ++n) CHECK(There(one, File(2, n)));
  for (const std::string& manifest : manifests) CHECK(There(one, manifest));
}

TEST_CASE_METHOD(Cluster,
                 "state of a dropped pipeline goes, and of one that is not known yet stays") {
  ShardId later = one;
  Commit(one, {File(2, 1), File(2, 2)});
  Commit(other, {File(2, 1)});
  Fold(control::Drop{{1, 0}, one.incarnation});
  CHECK(fold.pipelines().empty());
  later.incarnation.defined_at = fold.next_offset();
  Put(later, File(1, 1));
  CHECK(Clear() == 0);
  Age();
  ShardId young = one;
  young.partition = PartitionId(7);
  Put(young, File(2, 1));
  CHECK(Clear() == 5);
  CHECK(There(later, File(1, 1)));
  CHECK(There(young, File(2, 1)));
  Age();
  CHECK(Clear() == 1);
  CHECK(There(later, File(1, 1)));
}

TEST_CASE_METHOD(Cluster, "an object stays until it is older than the age") {
  Put(one, File(1, 1));
  Age(std::chrono::hours(23));
  CHECK(Clear() == 0);
  CHECK(There(one, File(1, 1)));
  Age(std::chrono::hours(1));
  CHECK(Clear() == 1);
}

TEST_CASE_METHOD(Cluster, "objects of the shard's epoch and of a newer one stay") {
  // The owner of epoch 3 may have read its Assign before this fold does.
  for (const int64_t epoch : {2, 3}) Put(one, File(epoch, 1));
  Age();
  CHECK(Clear() == 0);
  CHECK(There(one, File(2, 1)));
  Assign(one);
  CHECK(Clear() == 1);
  CHECK_FALSE(There(one, File(2, 1)));
  CHECK(There(one, File(3, 1)));
}

TEST_CASE_METHOD(Cluster, "a shard with a kept manifest that cannot be read is left alone") {
  const std::string damage = GENERATE("missing", "damaged");
  const std::string manifest = Commit(one, {File(2, 1)});
  Commit(one, {File(2, 2)});
  if (damage == "damaged") Put(one, manifest, "nonsense");
  if (damage == "missing") {
    REQUIRE(executor.RunUntilDone(objects.Delete(StateFolder(one) + manifest)).ok());
  }
  Put(one, File(1, 9));
  Put(other, File(1, 9));
  Assign(one);
  Age();
  CHECK(Clear() == 1);
  CHECK(There(one, File(1, 9)));
  CHECK(There(one, File(2, 1)));
  CHECK_FALSE(There(other, File(1, 9)));
}

TEST_CASE_METHOD(Cluster, "names that no uploader gives are left alone") {
  const std::vector<std::string> names = {"notes",
                                          "1-7-ab-123-4567",
                                          "1-7-ab-123-4567.sst.old",
                                          "1-7-ab-123-4567.row",
                                          "1-7-ab-x-4567.sst",
                                          "-1-7-ab-1-2.sst",
                                          "01-7-ab-1-2.sst",
                                          "1-7--1-2.sst",
                                          "1-7-XY-1-2.sst",
                                          "m-1-1-abc",
                                          "m-1-" + std::string(32, 'a'),
                                          "m-1-1-" + std::string(32, 'g'),
                                          "99999999999999999999-7-ab-1-2.sst",
                                          "1-ab-1-2.sst"};
  for (const std::string& name : names) {
    INFO(name);
    CHECK_FALSE(checkpoint::UploadEpoch(name).has_value());
    Put(one, name);
  }
  CHECK(checkpoint::UploadEpoch("17-3-ab-1-2.sst") == Epoch(17));
  CHECK(checkpoint::UploadEpoch("18-3-ab-1-2.rows") == Epoch(18));
  CHECK(checkpoint::UploadEpoch("m-17-3-" + std::string(32, 'b')) == Epoch(17));
  Age();
  CHECK(Clear() == 0);
  for (const std::string& name : names) CHECK(There(one, name));
}

TEST_CASE_METHOD(Cluster, "only the leader clears, and only below the shards it knows") {
  Put(one, File(1, 1));
  REQUIRE(executor.RunUntilDone(objects.Put("default/results/r/1-7-ab-1-2.sst", Buffer::Own("x")))
              .ok());
  Age();
  CHECK(Clear("b") == 0);
  CHECK(There(one, File(1, 1)));
  CHECK(Clear() == 1);
  CHECK(executor.RunUntilDone(test::ListAll(&objects, "")).value().size() == 1);
}

TEST_CASE_METHOD(Cluster, "raw events are kept for their retention, however many there are") {
  const auto statements = PlanScript(test::kTwoShardsSql).value();
  REQUIRE(executor
              .RunUntilDone(serving.Define(one.incarnation, std::get<StreamSpec>(statements[0]),
                                           std::get<PipelineSpec>(statements[1])))
              .ok());
  REQUIRE(executor.RunUntilDone(serving.TakeOver(one, Epoch(2))).ok());
  const auto apply = [&](int64_t low, int64_t high) {
    ServingBatch batch{one, Epoch(2)};
    batch.from[static_cast<size_t>(Output::kQuarantine)].seq = low;
    batch.to[static_cast<size_t>(Output::kQuarantine)].seq = high;
    for (int64_t seq = low + 1; seq <= high; ++seq) {
      OutputRow& row = batch.rows.emplace_back();
      row.output = Output::kQuarantine;
      row.seq = seq;
      row.caused_at = executor.Wall();
    }
    REQUIRE(executor.RunUntilDone(serving.Apply(std::move(batch))).ok());
  };
  const auto rows = [&] {
    const ServingQuery query{"default", "r", Output::kQuarantine, {}, {}, {}, false};
    return executor.RunUntilDone(test::ReadAll(&serving, query)).value().rows.size();
  };
  options.raw_rows = 10;
  apply(0, 30);
  Age(std::chrono::hours(5));
  apply(30, 35);
  Age(std::chrono::hours(30 * 24 - 5));
  CHECK(ClearAll().rows == 0);
  CHECK(rows() == 35);
  Age(std::chrono::hours(1));
  CHECK(ClearAll("b").rows == 0);
  CHECK(ClearAll().rows == 30);
  CHECK(rows() == 5);
  Age(std::chrono::hours(5));
  CHECK(ClearAll().rows == 5);
  const auto fences = executor.RunUntilDone(serving.ReadFences({one})).value();
  CHECK(fences[0]->seq(Output::kQuarantine) == 35);
}

TEST_CASE_METHOD(Cluster, "rounds follow each other until it is stopped") {
  options.housekeeping_first = std::chrono::minutes(1);
  options.housekeeping_interval = std::chrono::hours(1);
  Housekeeping housekeeping(
      {nullptr, &objects, nullptr, &serving, nullptr, nullptr, nullptr, nullptr, nullptr, &metrics},
      options, [] { return true; }, &fold);
  Put(one, File(1, 1));
  Age();
  executor.Spawn(housekeeping.Loop());
  executor.RunFor(std::chrono::seconds(59));
  CHECK(There(one, File(1, 1)));
  executor.RunFor(std::chrono::seconds(2));
  CHECK_FALSE(There(one, File(1, 1)));
  Put(one, File(1, 2));
  executor.RunFor(std::chrono::hours(24));
  CHECK(There(one, File(1, 2)));
  executor.RunFor(std::chrono::hours(1));
  CHECK_FALSE(There(one, File(1, 2)));
  Put(one, File(1, 3));
  housekeeping.Stop();
  executor.RunFor(std::chrono::hours(30));
  CHECK(There(one, File(1, 3)));
}

}  // namespace millrace::runtime
