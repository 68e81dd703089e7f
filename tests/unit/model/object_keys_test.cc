#include "millrace/model/object_keys.h"
#include "support/catch.h"

using namespace millrace;

namespace {

const Incarnation kDelays{"default", "delays", Offset(17)};

ResultFileKey Key() { return {{kDelays, PartitionId(2)}, "2001-01-05", 12, 345, 0xabcdef0123}; }

}  // namespace

TEST_CASE("folders of an incarnation bear its name and the offset of its definition") {
  CHECK(StateFolder(kDelays) == "default/state/delays@17/");
  CHECK(StateFolder(ShardId{kDelays, PartitionId(2)}) == "default/state/delays@17/p2/");
  CHECK(ResultFolder(kDelays) == "default/results/delays@17/");
  CHECK(ResultFileGlob(kDelays) == "default/results/delays@17/*/*.parquet");
  CHECK(ParseStateFolder(StateFolder(kDelays)) == kDelays);
  for (const char* const other :
       {"default/state/delays@17", "default/state/delays@+17/", "default/state/delays@17/p0/",
        "default/results/delays@17/", "state/delays@17/", "default/state/delays/", ""}) {
    INFO(other);
    CHECK_FALSE(ParseStateFolder(other));
  }
}

TEST_CASE("the key of a result file is read back as it was written") {
  const std::string text = Key().ToString();
  CHECK(text ==
        "default/results/delays@17/window_date=2001-01-05/p2-12-345-000000abcdef0123.parquet");
  CHECK(ResultFileKey::Parse(text) == Key());
}

TEST_CASE("what is no key of a result file is not taken for one") {
  for (const char* text : {
           "",
           "default/results/delays@17/window_date=2001-01-05/p2-12-345-000000abcdef0123",
           "default/results/delays@17/window_date=2001-01-05/"
           "p2-12-345-000000abcdef0123.parquet.tmp",
           "default/results/delays@17/window_date=2001-01-05/p2-12--000000abcdef0123.parquet",
           "default/results/delays@17/window_date=2001-01-05/p2-345-000000abcdef0123.parquet",
           "default/results/delays@17/window_date=2001-01-05/p02-12-345-000000abcdef0123.parquet",
           "default/results/delays@17/window_date=2001-01-05/q2-12-345-000000abcdef0123.parquet",
           "default/results/delays@17/window_date=2001-01-05/p2-12-345.parquet",
           "default/results/delays@17/window_date=2001-01-05/p2-12-345-abcdef0123.parquet",
           "default/results/delays@17/window_date=2001-01-05/p2-12-345-000000ABCDEF0123.parquet",
           "default/results/delays@17/window_date=2001-01-05/p2-12-345-000000abcdef012g.parquet",
           "default/results/delays@17/p2-12-345-000000abcdef0123.parquet",
           "default/results/delays/window_date=2001-01-05/p2-12-345-000000abcdef0123.parquet",
           "default/results/delays/v=17/date=2001-01-05/p2-12-345-000000abcdef0123.parquet",
           "default/state/delays@17/p2/m-1-2-00000000000000000000000000000000",
       }) {
    INFO(text);
    CHECK(!ResultFileKey::Parse(text));
  }
}
