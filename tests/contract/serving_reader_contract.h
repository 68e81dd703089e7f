#pragma once

#include <functional>
#include <memory>
#include <tuple>

#include "contract/serving_contract.h"
#include "support/catch.h"

namespace millrace::test {

/// What every body of ServingReader promises about pages. `make` gives an empty store, which is its
/// own reader.
template <typename Store>
void CheckServingReaderContract(TestExecutor& executor,
                                const std::function<std::unique_ptr<Store>()>& make) {
  const std::unique_ptr<Store> store = make();
  const auto run = [&](auto task) { return executor.RunUntilDone(std::move(task)); };
  const ShardId shard = ServingShard();
  ServingBatches batches;
  const auto apply = [&](int64_t low, int64_t high, std::vector<OutputRow> rows) {
    return batches.Apply(executor, store.get(), shard, Epoch(3), Output::kResults, low, high,
                         std::move(rows));
  };
  ServingQuery q;
  q.name = "r";
  const auto query = [&] { return run(ReadAll(store.get(), q)); };
  REQUIRE(run(store->Define(shard.incarnation, ServingStream(), ServingPipeline())).ok());
  REQUIRE(run(store->Attach(shard.incarnation, ServingStream(), ServingPipeline())).ok());
  REQUIRE(run(store->TakeOver(shard, Epoch(3))).ok());

  SECTION("an answer comes in pages of bounded rows and bytes") {
    std::vector<OutputRow> rows;
    for (int64_t seq = 1; seq <= 40; ++seq)
      rows.push_back(ServingRow(seq, std::string(100, 'a') + std::to_string(seq), seq / 4, seq));
    REQUIRE(apply(0, 40, rows).ok());
    const auto whole = query().value();
    REQUIRE(whole.rows.size() == 40);
    const size_t row_bytes = RowBytes(whole.rows[0]);
    for (const auto& [max_rows, max_bytes, first] :
         {std::tuple{size_t{1}, size_t{1} << 20, size_t{1}},
          {100, 3 * row_bytes, 3},
          {100, 1, 1},
          {7, size_t{1} << 20, 7},
          {100, size_t{1} << 20, 40}}) {
      const auto cursor = run(store->Open(q)).value();
      CHECK(cursor->names() == whole.names);
      CHECK(cursor->types() == whole.types);
      ServingRows all;
      for (bool begun = false;; begun = true) {
        const auto page = run(cursor->Next(max_rows, max_bytes)).value();
        if (!begun) CHECK(page.size() == first);
        if (page.empty()) break;
        all.insert(all.end(), page.begin(), page.end());
      }
      CHECK(all == whole.rows);
      CHECK(run(cursor->Next(max_rows, max_bytes)).value().empty());
    }
  }

  SECTION("what is written between two pages neither doubles nor hides another row") {
    REQUIRE(
        apply(0, 3, {ServingRow(1, "a", 0, 1), ServingRow(2, "b", 0, 2), ServingRow(3, "c", 0, 3)})
            .ok());
    const auto cursor = run(store->Open(q)).value();
    const auto first = run(cursor->Next(1, 1 << 20)).value();
    CHECK(ValueText(first.at(0)[0]) == "a");
    REQUIRE(apply(3, 6,
                  {Deleted(ServingRow(4, "a", 0, 0, 2)), ServingRow(5, "c", 0, 30, 2),
                   ServingRow(6, "aa", 0, 6)})
                .ok());
    // Also a younger incarnation changes nothing: the cursor stays with its own.
    PipelineSpec narrow = ServingPipeline();
    narrow.select.resize(3);
    REQUIRE(run(store->Define(ServingShard(40).incarnation, ServingStream(), narrow)).ok());
    const auto rest = run(cursor->Next(10, 1 << 20)).value();
    REQUIRE(rest.size() == 3);
    CHECK(ValueText(rest[0][0]) == "aa");
    CHECK(ValueText(rest[1][0]) == "b");
    CHECK(ValueText(rest[2][3]) == "30");
    CHECK(run(cursor->Next(10, 1 << 20)).value().empty());
  }

  SECTION("a query that was cancelled gives no further page") {
    REQUIRE(apply(0, 2, {ServingRow(1, "a", 0, 1), ServingRow(2, "b", 0, 2)}).ok());
    const auto cursor = run(store->Open(q)).value();
    REQUIRE(run(cursor->Next(1, 1 << 20)).ok());
    cursor->Cancel();
    CHECK(run(cursor->Next(1, 1 << 20)).error().code == Code::kUnavailable);
    CHECK(query().value().rows.size() == 2);
  }
}

}  // namespace millrace::test
