#pragma once

#include <map>
#include <random>

#include "millrace/base/hash.h"
#include "millrace/state/state_store.h"
#include "support/catch.h"
#include "support/state_files.h"
#include "support/test_executor.h"

namespace millrace::test {

using Entries = std::vector<std::pair<std::string, std::string>>;

/// What every body of the port `state` promises.
inline void CheckStateContract(TestExecutor& executor, StateStores& stores) {
  const auto run = [&](auto task) { return executor.RunUntilDone(std::move(task)); };
  const auto store = run(stores.Open("default-s@1-p0")).value();
  const auto all = [&](StateStore& s) { return run(s.Scan("", 1'000'000)).value(); };
  const auto freeze = [&](StateStore& s) { return FreezeState(executor, s); };
  const auto restore = [&](StateStore& s, const FrozenState& files) {
    return RestoreState(executor, s, files);
  };
  const std::string zero("\0", 1);
  const std::string high("\xff\xff");

  SECTION("a batch deletes first, then puts, and a scan gives entries in order of bytes") {
    REQUIRE(run(store->Apply({{}, {{zero, "0"}, {"a", "1"}, {"b", ""}, {high, "3"}}})).ok());
    CHECK(all(*store) == Entries{{zero, "0"}, {"a", "1"}, {"b", ""}, {high, "3"}});
    REQUIRE(run(store->Apply({{{"a", "b"}, {"x", "c"}}, {{"a", "new"}, {"aa", "2"}}})).ok());
    CHECK(all(*store) == Entries{{zero, "0"}, {"a", "new"}, {"aa", "2"}, {"b", ""}, {high, "3"}});
    REQUIRE(run(store->Apply({{{"a", "b"}}, {}})).ok());
    CHECK(run(store->Scan("a", 1)).value() == Entries{{"b", ""}});
    CHECK(run(store->Scan("b", 1)).value() == Entries{{"b", ""}});
    CHECK(run(store->Scan(high + zero, 1)).value().empty());
  }

  SECTION("a frozen state restores to what it was, whatever came after") {
    REQUIRE(run(store->Apply({{}, {{"a", "1"}, {"b", std::string(100'000, 'b')}}})).ok());
    const auto files = run(store->Freeze()).value();
    REQUIRE(run(store->Apply({{{"a", "b"}}, {{"c", "3"}}})).ok());
    FrozenState frozen;
    for (const StateFile& f : files) {
      frozen.emplace_back(f, Buffer::Own(ReadAll(*run(store->ReadFile(f.name)).value())));
      CHECK(static_cast<int64_t>(frozen.back().second.bytes.size()) == f.size);
      CHECK(Crc32c(frozen.back().second.bytes) == f.crc32c);
    }
    const auto other = run(stores.Open("other")).value();
    REQUIRE(run(other->Apply({{}, {{"z", "gone"}}})).ok());
    REQUIRE(restore(*other, frozen).ok());
    CHECK(all(*other) == Entries{{"a", "1"}, {"b", std::string(100'000, 'b')}});
    REQUIRE(run(other->Apply({{}, {{"a", "2"}}})).ok());
    CHECK(all(*other).front().second == "2");
    REQUIRE(restore(*other, freeze(*store)).ok());
    CHECK(all(*other) == Entries{{"b", std::string(100'000, 'b')}, {"c", "3"}});
    REQUIRE(restore(*other, {}).ok());
    CHECK(all(*other).empty());
  }

  SECTION("a file whose content stays keeps its identity, and equal identities are equal bytes") {
    std::map<std::string, std::string> contents;
    std::mt19937 random(1);
    std::map<std::string, std::string> model;
    size_t reused = 0;
    std::unique_ptr<StateStore> second;
    for (int round = 0; round < 30; ++round) {
      StateBatch batch;
      for (auto k = random() % 4; k < 20 && round % 3 != 2; k += 1 + random() % 4) {
        const std::string key = "key" + std::to_string(k + 10);
        const std::string value(random() % 2000, static_cast<char>('a' + random() % 26));
        batch.puts.emplace_back(key, value);
        model[key] = value;
      }
      REQUIRE(run(store->Apply(batch)).ok());
      const FrozenState frozen = freeze(*store);
      for (const auto& [file, data] : frozen) {
        const auto [it, fresh] = contents.try_emplace(file.identity, data.bytes);
        if (!fresh) {
          ++reused;
          REQUIRE(it->second == data.bytes);
        }
      }
      if (round % 7 == 6) REQUIRE(restore(*store, frozen).ok());
      CHECK(all(*store) == Entries(model.begin(), model.end()));
    }
    CHECK(reused > 10);
  }

  SECTION("damaged or missing files are not a state, and leave an empty one") {
    REQUIRE(run(store->Apply({{}, {{"a", std::string(10'000, 'x')}, {"b", "2"}}})).ok());
    const FrozenState good = freeze(*store);
    REQUIRE(good.size() > 1);
    for (size_t i = 0; i < good.size(); ++i) {
      if (good[i].second.bytes.empty()) continue;
      FrozenState flipped = good;
      std::string bytes(flipped[i].second.bytes);
      bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
      flipped[i].second = Buffer::Own(bytes);
      CHECK(restore(*store, flipped).error().code == Code::kCorruption);
      CHECK(all(*store).empty());
      FrozenState missing = good;
      missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
      INFO("without " << good[i].first.name);
      CHECK(restore(*store, missing).error().code == Code::kCorruption);
      CHECK(all(*store).empty());
      REQUIRE(run(store->Apply({{}, {{"still", "usable"}}})).ok());
    }
    REQUIRE(restore(*store, good).ok());
    CHECK(all(*store).size() == 2);
  }

  SECTION("a store opens empty, and a file that was not frozen is not found") {
    REQUIRE(run(store->Apply({{}, {{"a", "1"}}})).ok());
    CHECK(run(store->ReadFile("nothing")).error().code == Code::kNotFound);
    CHECK(run(store->ReadFile("../x")).error().code == Code::kNotFound);
    const auto again = run(stores.Open("second")).value();
    CHECK(all(*again).empty());
    CHECK(run(stores.Remove("never")).ok());
  }
}

}  // namespace millrace::test
