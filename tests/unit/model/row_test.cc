#include "millrace/model/row.h"

#include <cmath>
#include <limits>

#include "millrace/model/batch_builder.h"
#include "support/catch.h"

using namespace millrace;

namespace {

std::string KeyOf(const ColumnData& data, size_t row) {
  std::string key;
  AppendKeyValue(&key, data.View(), row);
  return key;
}

}  // namespace

TEST_CASE("key bytes of doubles order as numbers, with -0 as 0 and NaN last") {
  const double inf = std::numeric_limits<double>::infinity();
  ColumnData d(Type::kDouble);
  for (const double v : {-inf, -1e300, -1.0, -1e-300, 0.0, 1e-300, 1.0, 1e300, inf, std::nan("")})
    d.AppendDouble(v);
  for (size_t i = 1; i < d.rows(); ++i) CHECK(KeyOf(d, i - 1) < KeyOf(d, i));
  d.AppendDouble(-0.0);
  CHECK(KeyOf(d, 10) == KeyOf(d, 4));
}

TEST_CASE("a group key reads back as its values") {
  ColumnData i(Type::kInt);
  i.AppendInteger(-7);
  ColumnData s(Type::kText);
  s.AppendText(std::string("a\0b", 3));
  ColumnData n(Type::kBigint);
  n.AppendNull();
  ColumnData d(Type::kDouble);
  d.AppendDouble(-2.5);
  std::string key;
  for (const ColumnData* c : {&i, &s, &n, &d}) AppendKeyValue(&key, c->View(), 0);
  const auto values =
      DecodeKey(key, {Type::kInt, Type::kText, Type::kBigint, Type::kDouble}).value();
  CHECK(std::get<int64_t>(values[0].data) == -7);
  CHECK(std::get<std::string>(values[1].data) == std::string("a\0b", 3));
  CHECK(values[2].is_null());
  CHECK(std::get<double>(values[3].data) == -2.5);
  CHECK_FALSE(DecodeKey(key.substr(0, key.size() - 1),
                        {Type::kInt, Type::kText, Type::kBigint, Type::kDouble})
                  .ok());
}

TEST_CASE("output rows read back as written, and no prefix of one is taken for a row") {
  OutputRow row;
  row.output = GENERATE(Output::kResults, Output::kFiles, Output::kProvisional, Output::kLate,
                        Output::kQuarantine);
  row.seq = 300;
  row.cause = Offset(12);
  row.cause_row = 4;
  row.caused_at = -5;
  if (row.output == Output::kLate) {
    row.event_time = 3;
    row.missed = 2;
    row.first_missed_end = 10;
    row.last_missed_end = 20;
  } else if (row.output == Output::kQuarantine) {
    row.reason = Reason::kWrongType;
    row.detail = "detail";
    row.payload = "{}";
  } else {
    row.window_start = 1;
    row.window_end = 2;
    row.key = "k";
    row.revision = 2;
    row.deleted = true;
    row.values = {{Type::kText, std::string("x")},
                  {Type::kInt, {}},
                  {Type::kNumeric, kMaxNumeric},
                  {Type::kDouble, 0.1}};
  }
  std::string bytes;
  EncodeRow(row, &bytes);
  ByteReader whole(bytes);
  CHECK(DecodeRow(&whole).value() == row);
  CHECK(whole.done());
  for (size_t n = 0; n < bytes.size(); ++n) {
    ByteReader part(std::string_view(bytes).substr(0, n));
    CHECK_FALSE(DecodeRow(&part).ok());
  }
}

TEST_CASE("a batch views the rows that were built, defects and identities included") {
  StreamSpec stream;
  stream.generation = Offset(9);
  stream.columns = {{"t", Type::kTimestamp, true}, {"k", Type::kText, false}};
  BatchBuilder b(stream);
  b.BeginRecord(Offset(7), 100);
  const int16_t p = b.AddProducer("local", "p", 3);
  b.column(0).AppendInteger(5);
  b.column(1).AppendText("x");
  b.EndRow(p, 3);
  b.column(0).AppendInteger(6);
  b.DefectRow(p, 4, Reason::kWrongType, "k: expected text", "{\"k\":1}");
  const EventBatch batch = b.Build();
  REQUIRE(batch.rows == 2);
  CHECK(batch.columns[1].Text(0) == "x");
  CHECK(batch.columns[0].IsNull(1));
  CHECK(batch.defects[1] == Reason::kWrongType);
  CHECK(batch.payload[1] == "{\"k\":1}");
  CHECK(batch.records[0].producer_count == 1);
  CHECK(b.rows() == 0);
  CHECK(batch.schema == stream.schema());
  b.BeginRecord(Offset(8), 100);
  CHECK(b.Build().schema == stream.schema());
}
