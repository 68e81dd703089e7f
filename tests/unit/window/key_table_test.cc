#include "key_table.h"

#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <set>

#include "support/catch.h"

using namespace millrace::window;

namespace {

KeyTable::Id Intern(KeyTable* table, const std::string& key) {
  return table->Intern(key, HashKey(key));
}

std::vector<KeyTable::Id> Find(const KeyTable& table, const std::vector<std::string>& keys) {
  std::string bytes;
  std::vector<uint32_t> ends;
  std::vector<uint64_t> hashes;
  for (const std::string& key : keys) {
    bytes += key;
    ends.push_back(static_cast<uint32_t>(bytes.size()));
    hashes.push_back(HashKey(key));
  }
  std::vector<KeyTable::Id> ids;
  table.Find(bytes, ends, hashes, &ids);
  return ids;
}

std::string Key(int i, size_t length = 0) {
  std::string key = "k" + std::to_string(i);
  key.resize(std::max(key.size(), length), 'x');
  return key;
}

/// Interns and references keys [begin, end).
std::vector<KeyTable::Id> Hold(KeyTable* table, int begin, int end, size_t length = 0) {
  std::vector<KeyTable::Id> ids;
  for (int i = begin; i < end; ++i) ids.push_back(Intern(table, Key(i, length)));
  for (const KeyTable::Id id : ids) table->Ref(id);
  return ids;
}

}  // namespace

TEST_CASE("ids stand for their keys through any sequence of uses") {
  CHECK(rc::check([] {
    KeyTable table;
    std::map<std::string, std::pair<KeyTable::Id, int>> model;  // id, references
    const auto steps = *rc::gen::inRange(0, 300);
    for (int step = 0; step < steps; ++step) {
      // Lengths around those that the hash and the comparison treat apart.
      const std::string key =
          Key(*rc::gen::inRange(0, 40), *rc::gen::element<size_t>(1, 8, 16, 17));
      switch (*rc::gen::inRange(0, 4)) {
        case 0: {
          const auto id = Intern(&table, key);
          const auto [at, fresh] = model.try_emplace(key, id, 0);
          RC_ASSERT(at->second.first == id);
          break;
        }
        case 1:
          if (model.count(key) != 0) {
            table.Ref(model[key].first);
            ++model[key].second;
          }
          break;
        case 2:
          if (model.count(key) != 0 && model[key].second > 0) {
            table.Unref(model[key].first);
            --model[key].second;
          }
          break;
        default:
          table.Collect();
      }
    }
    std::set<KeyTable::Id> ids;
    std::vector<std::string> keys;
    for (const auto& [key, entry] : model) {
      RC_ASSERT(table.Key(entry.first) == key);
      RC_ASSERT(ids.insert(entry.first).second);
      keys.push_back(key);
    }
    keys.push_back("never interned");
    const auto found = Find(table, keys);
    for (size_t i = 0; i + 1 < keys.size(); ++i) RC_ASSERT(found[i] == model[keys[i]].first);
    RC_ASSERT(found.back() == KeyTable::kNone);
    RC_ASSERT(table.live() == model.size());
  }));
}

TEST_CASE("ids sort as the bytes of their keys") {
  CHECK(rc::check([] {
    KeyTable table;
    std::vector<std::string> keys;
    for (int round = 0; round < 3; ++round) {
      for (const auto& key :
           *rc::gen::container<std::set<std::string>>(rc::gen::string<std::string>())) {
        if (Find(table, {key})[0] != KeyTable::kNone) continue;
        table.Ref(Intern(&table, key));
        keys.push_back(key);
      }
      // All, and a few: they are sorted in different ways.
      for (const size_t step : {size_t{1}, size_t{9}}) {
        std::vector<KeyTable::Id> ids;
        std::vector<std::string> expected;
        for (size_t i = 0; i < keys.size(); i += step) {
          ids.push_back(Find(table, {keys[i]})[0]);
          expected.push_back(keys[i]);
        }
        std::sort(expected.begin(), expected.end());
        table.Sort(&ids);
        RC_ASSERT(ids.size() == expected.size());
        for (size_t i = 0; i < ids.size(); ++i) RC_ASSERT(table.Key(ids[i]) == expected[i]);
      }
    }
    const auto& order = table.Ordered();
    RC_ASSERT(std::is_sorted(order.begin(), order.end(), [&](KeyTable::Id a, KeyTable::Id b) {
      return table.Key(a) < table.Key(b);
    }));
    RC_ASSERT(order.size() == keys.size());
  }));
}

TEST_CASE("keys stay for the next window and go when nothing has come back to them") {
  KeyTable table;
  constexpr int kKeys = 6000;
  const auto first = Hold(&table, 0, kKeys);
  for (const KeyTable::Id id : first) table.Unref(id);
  table.EndSpan();
  table.Collect();
  CHECK(Find(table, {Key(0), Key(kKeys - 1)}) == std::vector{first.front(), first.back()});
  // The same keys again, then others: no more than twice what is in use at once.
  for (int window = 0; window < 20; ++window) {
    const auto ids = Hold(&table, window * kKeys, (window + 1) * kKeys);
    table.Collect();
    for (const KeyTable::Id id : ids) table.Unref(id);
    table.EndSpan();
    table.Collect();
    CHECK(table.live() <= 2 * kKeys);
  }
  // A few keys from now on: the table shrinks.
  for (int window = 0; window < 3; ++window) {
    for (const KeyTable::Id id : Hold(&table, 0, 10)) table.Unref(id);
    table.EndSpan();
    table.Collect();
  }
  CHECK(table.live() <= 10);
}

TEST_CASE("referenced keys survive a collection among thousands that do not") {
  KeyTable table;
  constexpr int kKeys = 20'000;
  const auto ids = Hold(&table, 0, kKeys);
  table.EndSpan();
  for (int i = 0; i < kKeys; ++i) {
    if (i % 7 != 0) table.Unref(ids[static_cast<size_t>(i)]);
  }
  table.EndSpan();
  table.EndSpan();
  table.Collect();
  CHECK(table.live() == (kKeys + 6) / 7);
  for (int i = 0; i < kKeys; ++i) {
    const auto id = ids[static_cast<size_t>(i)];
    const auto expected = i % 7 == 0 ? id : KeyTable::kNone;
    if (Find(table, {Key(i)})[0] != expected) FAIL("key " << i);
    if (i % 7 == 0 && table.Key(id) != Key(i)) FAIL("key " << i);
  }
  // Freed ids are given out again, and order follows their new keys.
  const auto again = Hold(&table, kKeys, kKeys + 1000);
  CHECK(*std::max_element(again.begin(), again.end()) < kKeys);
  const auto& order = table.Ordered();
  std::set<KeyTable::Id> unique(order.begin(), order.end());
  CHECK(unique.size() == order.size());
  std::vector<std::string> in_use;
  for (const KeyTable::Id id : order) {
    if (!table.Key(id).empty()) in_use.emplace_back(table.Key(id));
  }
  CHECK(in_use.size() == table.live());
  CHECK(std::is_sorted(in_use.begin(), in_use.end()));
}

TEST_CASE("a frozen view keeps its keys whatever becomes of the table") {
  KeyTable table;
  const auto ids = Hold(&table, 0, 3000, 600);  // enough bytes for the arena to be compacted
  const KeyTable::Frozen frozen = table.Freeze();
  for (const KeyTable::Id id : ids) table.Unref(id);
  table.EndSpan();
  for (int round = 1; round < 4; ++round) {
    const auto others = Hold(&table, round * 10'000, round * 10'000 + 6000, 600);
    for (const KeyTable::Id id : others) table.Unref(id);
    table.EndSpan();
    table.EndSpan();
    table.Collect();
  }
  REQUIRE(Find(table, {Key(0, 600)})[0] == KeyTable::kNone);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (frozen.Key(ids[i]) != Key(static_cast<int>(i), 600)) FAIL("key " << i);
  }
}
