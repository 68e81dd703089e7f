#include "millrace/model/batch_builder.h"

#include "support/catch.h"

namespace millrace {
namespace {

StreamSpec Stream() {
  StreamSpec stream;
  stream.columns = {{"ts", Type::kTimestamp, true}};
  return stream;
}

}  // namespace

TEST_CASE("a record names each of its producers once, with the largest acked_below, few or many") {
  for (const int producers : {1, 15, 16, 17, 31, 32, 33, 1'000, 10'000}) {
    BatchBuilder builder(Stream());
    // An index is that of the current record alone.
    for (int record = 0; record < 3; ++record) {
      builder.BeginRecord(Offset(record), 0);
      const int first = record * producers;
      for (int round = 0; round < 3; ++round) {
        for (int n = 0; n < producers; ++n) {
          const int64_t acked_below = round == 1 ? 7 + n : 3;
          REQUIRE(builder.AddProducer(n % 2 == 0 ? "even" : "odd", std::to_string(n / 2),
                                      acked_below) == first + n);
        }
      }
    }
    const EventBatch batch = builder.Build();
    REQUIRE(batch.producers.size() == static_cast<size_t>(3 * producers));
    REQUIRE(batch.records.size() == 3);
    for (size_t record = 0; record < 3; ++record) {
      CHECK(batch.records[record].producer_count == static_cast<uint32_t>(producers));
      for (int n = 0; n < producers; ++n) {
        const Producer& p =
            batch.producers[batch.records[record].first_producer + static_cast<size_t>(n)];
        REQUIRE(p.principal == (n % 2 == 0 ? "even" : "odd"));
        REQUIRE(p.id == std::to_string(n / 2));
        REQUIRE(p.acked_below == 7 + n);
      }
    }
    // What was built leaves nothing behind.
    builder.BeginRecord(Offset(9), 0);
    CHECK(builder.AddProducer("odd", "0", 0) == 0);
  }
}

}  // namespace millrace
