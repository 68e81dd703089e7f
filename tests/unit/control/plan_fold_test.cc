#include "millrace/control/plan_fold.h"

#include "millrace/sql/planner.h"
#include "support/catch.h"
#include "support/stamped.h"
#include "support/two_shards_sql.h"

namespace millrace::control {
namespace {

const Process kFirst{"a", 1};
const Process kSecond{"b", 2};
const Process kDead{"a", 3};  // an earlier one of that name

Assign OfLeader(Assign assign) {
  assign.by.n = 1;
  return assign;
}

/// A stream of two partitions with two views on it, and who lives.
struct Cluster {
  Cluster() {
    const auto statements = PlanScript(test::kTwoShardsSql).value();
    Apply(Claim{1, "c", kFirst});
    Apply(DefineStream{{1, 0}, std::get<StreamSpec>(statements[0])});
    PipelineSpec view = std::get<PipelineSpec>(statements[1]);
    Apply(Define{{1, 0}, view, {Offset(0), Offset(0)}, Offset(1)});
    view.name = "second";
    Apply(Define{{1, 0}, view, {Offset(0), Offset(0)}, Offset(1)});
    REQUIRE(fold.shards().size() == 4);
  }
  void Apply(const Record& record) {
    REQUIRE(fold.Apply(fold.next_offset(), 1000, test::Stamped(fold, record)) == Verdict::kValid);
  }
  ShardId Shard(const std::string& view, int partition) const {
    return {*fold.Current("default", view), PartitionId(partition)};
  }
  std::vector<Assign> Orphans(const std::vector<Process>& living) const {
    PlanInput input;
    input.now = 1;
    std::map<std::string, Process> processes;
    for (const Process& process : living) {
      input.members[InstanceName(process)].name = process.name;
      processes[InstanceName(process)] = process;
    }
    AddBundles(fold, &input);
    return AssignsOf(fold, input, PlanMoves(input, {}), processes);
  }

  Fold fold;
};

}  // namespace

TEST_CASE("all shards on a partition get one owner, and the workers share the partitions") {
  Cluster cluster;
  const auto assigns = cluster.Orphans({kFirst, kSecond});
  REQUIRE(assigns.size() == 4);
  for (const Assign& assign : assigns) cluster.Apply(OfLeader(assign));
  const auto& shards = cluster.fold.shards();
  for (const int p : {0, 1}) {
    CHECK(shards.at(cluster.Shard("r", p)).worker.instance ==
          shards.at(cluster.Shard("second", p)).worker.instance);
  }
  CHECK(shards.at(cluster.Shard("r", 0)).worker.instance !=
        shards.at(cluster.Shard("r", 1)).worker.instance);
  CHECK(cluster.Orphans({kFirst, kSecond}).empty());
}

TEST_CASE("a shard without an owner goes where the others on its partition are") {
  Cluster cluster;
  cluster.Apply(Assign{{1, 0}, cluster.Shard("second", 0), kSecond, Epoch(1)});
  cluster.Apply(Assign{{1, 0}, cluster.Shard("r", 0), kDead, Epoch(1)});
  for (const Assign& assign : cluster.Orphans({kFirst, kSecond})) cluster.Apply(OfLeader(assign));
  const auto& shards = cluster.fold.shards();
  CHECK(shards.at(cluster.Shard("r", 0)).worker.instance == kSecond.instance);
  CHECK(shards.at(cluster.Shard("r", 0)).epoch == Epoch(2));
  CHECK(shards.at(cluster.Shard("second", 0)).epoch == Epoch(1));
}

TEST_CASE("what an earlier process of the same name owned is an orphan, and none goes to nobody") {
  Cluster cluster;
  for (const auto& [id, shard] : std::map(cluster.fold.shards()))
    cluster.Apply(Assign{{1, 0}, id, kDead, Epoch(1)});
  CHECK(cluster.Orphans({}).empty());
  const auto assigns = cluster.Orphans({kFirst});
  REQUIRE(assigns.size() == 4);
  for (const Assign& assign : assigns) {
    CHECK(assign.worker.instance == kFirst.instance);
    CHECK(assign.epoch == Epoch(2));
  }
}

}  // namespace millrace::control
