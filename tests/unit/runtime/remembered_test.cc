#include "millrace/checkpoint/remembered.h"

#include <algorithm>
#include <random>

#include "support/catch.h"

namespace millrace::checkpoint {
namespace {

/// Records at rising offsets, with holes of up to `holes` between them.
std::vector<LogRecord> Records(size_t count, int64_t holes) {
  std::mt19937 random(7);
  std::vector<LogRecord> records(count);
  int64_t offset = 0;
  for (LogRecord& record : records) {
    offset += 1 + (holes > 0 ? static_cast<int64_t>(random()) % (holes + 1) : 0);
    record.offset = Offset(offset);
    record.append_time = offset;
  }
  return records;
}

Remembered Add(const std::vector<LogRecord>& records, size_t batch) {
  Remembered remembered;
  for (size_t i = 0; i < records.size(); i += batch)
    remembered.Add(&records[i], std::min(batch, records.size() - i));
  return remembered;
}

}  // namespace

TEST_CASE("a shard remembers the last records, and ever fewer of those further back") {
  const int64_t holes = GENERATE(0, 3);
  const auto records = Records(3'000'000, holes);
  INFO("holes=" << holes);
  Remembered remembered;
  for (size_t i = 0; i < records.size(); i += 4'000) {
    remembered.Add(&records[i], 4'000);
    if (i % 200'000 != 0) continue;
    const auto all = remembered.all();
    const int64_t next = records[i + 3'999].offset.value + 1;
    const auto age = [&](size_t n) { return next - all[n].offset.value; };
    REQUIRE(all.size() <= 16 + 51);
    const size_t sparse = all.size() - kRememberedRecords;
    for (size_t n = sparse; n < all.size(); ++n)
      REQUIRE(all[n] == IdentityOf(records[i + 4'000 - (all.size() - n)]));
    // Besides the factor of two, a hole may lie before each of the two.
    for (size_t n = 1; n <= sparse; ++n) {
      REQUIRE(all[n - 1].offset < all[n].offset);
      REQUIRE(age(n - 1) <= 2 * age(n) + 2 * holes);
    }
    REQUIRE(age(0) < 2 * kRememberedOffsets);
    if (next > 2 * kRememberedOffsets) REQUIRE(age(0) >= kRememberedOffsets);
  }
}

TEST_CASE("what is remembered does not depend on batches, nor on restores in between") {
  const auto records = Records(5'000, GENERATE(0, 3));
  const auto at_once = Add(records, records.size()).all();
  for (const size_t batch : {1, 7, 16, 17, 500}) {
    INFO("batch=" << batch);
    CHECK(Add(records, batch).all() == at_once);
  }
  Remembered restored;
  for (const LogRecord& record : records) {
    restored = Remembered(restored.all());
    restored.Add(&record, 1);
  }
  CHECK(restored.all() == at_once);
}

TEST_CASE("what another log has in its place is forgotten") {
  const auto records = Records(1'000, 0);
  Remembered remembered = Add(records, 100);
  remembered.ForgetFrom(Offset(900));
  CHECK_FALSE(remembered.last_append_time());
  const RecordIdentity last = *remembered.last();
  CHECK(last.offset < Offset(900));
  CHECK(last == IdentityOf(records[static_cast<size_t>(last.offset.value) - 1]));
  LogRecord next;
  next.offset = Offset(900);
  remembered.Add(&next, 1);
  CHECK(remembered.last() == IdentityOf(next));
  CHECK(remembered.last_append_time() == next.append_time);
  remembered.ForgetFrom(Offset(0));
  CHECK(remembered.all().empty());
  CHECK_FALSE(remembered.last());
}

}  // namespace millrace::checkpoint
