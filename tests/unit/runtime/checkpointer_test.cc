#include "millrace/checkpoint/checkpointer.h"

#include <set>

#include "millrace/objectstore/in_memory_object_store.h"
#include "millrace/sql/planner.h"
#include "millrace/state/in_memory_state.h"
#include "support/catch.h"
#include "support/test_executor.h"
#include "support/two_shards_sql.h"

namespace millrace::checkpoint {
namespace {

/// A fold that has read nothing, so that each full save of it has the same content.
window::FoldSpec EmptyFold() {
  const std::vector<Statement> statements = PlanScript(test::kTwoShardsSql).value();
  return {std::get<StreamSpec>(statements[0]), std::get<PipelineSpec>(statements[1]),
          PartitionId(0), kMinusInfinity};
}

std::set<std::string> ObjectsOf(const Manifest& manifest) {
  std::set<std::string> names;
  for (const ManifestFile& file : manifest.files) names.insert(file.object);
  return names;
}

}  // namespace

TEST_CASE("a content that comes again after its object was let go gets another name") {
  test::TestExecutor executor;
  InMemoryObjectStore objects;
  InMemoryStates states;
  const auto state = executor.RunUntilDone(states.Open("s")).value();
  Checkpointer checkpointer(&objects, state.get());
  const auto cut = [&](int64_t number, std::vector<Manifest> kept) {
    window::ShardFold fold(EmptyFold());
    Manifest manifest;
    manifest.shard = {{"default", "r", Offset(3)}, PartitionId(0)};
    manifest.epoch = Epoch(4);
    manifest.cut = CutNumber(number);
    auto change = std::make_shared<Change>(Change{fold.Freeze(true), {}});
    return executor
        .RunUntilDone(checkpointer.Prepare(std::move(manifest), std::move(change), {}, kept))
        .value()
        .manifest;
  };
  const Manifest first = cut(1, {});
  REQUIRE_FALSE(first.files.empty());
  CHECK(ObjectsOf(cut(2, {first})) == ObjectsOf(first));
  // Nothing kept names them: they are deleted, or will be by a call that is on its way.
  const Manifest again = cut(5, {});
  REQUIRE(again.files.size() == first.files.size());
  for (size_t i = 0; i < first.files.size(); ++i) {
    CHECK(again.files[i].file.identity == first.files[i].file.identity);
    CHECK_FALSE(ObjectsOf(first).contains(again.files[i].object));
  }
}

}  // namespace millrace::checkpoint
