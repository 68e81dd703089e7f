#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "millrace/block/block_codec.h"
#include "millrace/model/batch_builder.h"
#include "millrace/model/row.h"
#include "support/catch.h"

namespace millrace::test {

inline StreamSpec BlockStream(bool keep_raw = false) {
  StreamSpec s;
  s.name = "s";
  s.schema_id = 3;
  s.generation = Offset(int64_t{1} << 40);
  s.columns = {{"ts", Type::kTimestamp, true}, {"i", Type::kInt, false},
               {"b", Type::kBigint, false},    {"d", Type::kDouble, false},
               {"t", Type::kText, true},       {"u", Type::kText, false},
               {"o", Type::kBool, false}};
  s.event_time = 0;
  s.keep_raw = keep_raw;
  return s;
}

/// Rows that touch every type, its bounds and NULL, the same for the same seed.
inline EventBatch RandomBatch(const StreamSpec& stream, uint32_t seed, size_t rows) {
  std::mt19937 random(seed);
  const auto pick = [&](uint32_t n) { return static_cast<int64_t>(random() % n); };
  BatchBuilder b(stream);
  b.BeginRecord(Offset(0), 0);
  const int16_t first = b.AddProducer("local", "", 0);
  const int16_t second = b.AddProducer("tenant", "p\xc3\xa9", 1'000'000'007);
  for (size_t i = 0; i < rows; ++i) {
    const auto c = [&](size_t column) -> ColumnData& { return b.column(column); };
    const int64_t times[] = {kMinEventTime, kMaxEventTime, 0, -1, static_cast<int64_t>(random())};
    c(0).AppendInteger(times[pick(5)]);
    const int64_t ints[] = {std::numeric_limits<int32_t>::min(), 0,
                            std::numeric_limits<int32_t>::max()};
    pick(4) ? c(1).AppendInteger(ints[pick(3)]) : c(1).AppendNull();
    const int64_t bigs[] = {std::numeric_limits<int64_t>::min(), 0,
                            std::numeric_limits<int64_t>::max()};
    pick(4) ? c(2).AppendInteger(bigs[pick(3)]) : c(2).AppendNull();
    const double reals[] = {-0.0, 0.1, std::numeric_limits<double>::infinity(), 1e-320};
    pick(4) ? c(3).AppendDouble(reals[pick(4)]) : c(3).AppendNull();
    const char* texts[] = {"", "a", "\xe2\x82\xac", "a longer text that fits nowhere inline"};
    c(4).AppendText(texts[pick(4)]);
    pick(3) ? c(5).AppendText(texts[pick(4)]) : c(5).AppendNull();
    pick(3) ? c(6).AppendInteger(pick(2)) : c(6).AppendNull();
    const int16_t who = pick(4) == 0 ? int16_t{-1} : pick(2) ? first : second;
    b.EndRow(who, who < 0 ? 0 : pick(1u << 31) << 20,
             stream.keep_raw && pick(3) ? "{\"raw\":1}" : "");
  }
  return b.Build();
}

/// Reads every value that later code would read.
inline size_t TouchAll(const EventBatch& batch) {
  size_t sum = 0;
  for (const Column& c : batch.columns)
    for (size_t i = 0; i < batch.rows; ++i) sum += ValueText(Value::From(c, i)).size();
  for (size_t i = 0; i < batch.rows; ++i) {
    if (batch.producer && batch.producer[i] >= 0)
      sum += batch.producers.at(static_cast<size_t>(batch.producer[i])).id.size() +
             static_cast<size_t>(batch.sequence[i] & 1);
    if (batch.payload)
      for (const char c : batch.payload[i]) sum += static_cast<uint8_t>(c);
  }
  return sum;
}

/// What every body of the port `block` promises. `fix` makes a block's checksum right again after
/// its bytes were changed.
inline void CheckBlockContract(const BlockCodec& codec, void (*fix)(std::string*)) {
  const bool keep_raw = GENERATE(false, true);
  const StreamSpec stream = BlockStream(keep_raw);
  const auto decode = [&](std::string bytes) {
    return codec.Decode(stream, Buffer::Own(std::move(bytes)), Offset(9), 77);
  };

  SECTION("a block gives back every value, identity and payload") {
    const size_t rows = GENERATE(size_t{1}, size_t{7}, size_t{8}, size_t{64}, size_t{1000});
    const EventBatch in = RandomBatch(stream, static_cast<uint32_t>(rows), rows);
    const EventBatch out = decode(codec.Encode(stream, in).value()).value();
    REQUIRE(out.rows == rows);
    REQUIRE(out.records.size() == 1);
    CHECK(out.schema == stream.schema());
    CHECK(out.records[0].offset == Offset(9));
    CHECK(out.records[0].append_time == 77);
    CHECK(out.records[0].rows == rows);
    CHECK(out.records[0].producer_count == 2);
    CHECK(out.producers[1].principal == "tenant");
    CHECK(out.producers[1].acked_below == 1'000'000'007);
    for (size_t c = 0; c < stream.columns.size(); ++c) {
      for (size_t i = 0; i < rows; ++i) {
        REQUIRE(out.columns[c].IsNull(i) == in.columns[c].IsNull(i));
        CHECK(ValueText(Value::From(out.columns[c], i)) ==
              ValueText(Value::From(in.columns[c], i)));
      }
    }
    for (size_t i = 0; i < rows; ++i) {
      const int16_t who = in.producer ? in.producer[i] : int16_t{-1};
      CHECK(out.producer[i] == who);
      if (who >= 0) CHECK(out.sequence[i] == in.sequence[i]);
      if (keep_raw) CHECK(out.payload[i] == (in.payload ? in.payload[i] : std::string_view()));
    }
    CHECK((out.payload != nullptr) == keep_raw);
    CHECK(out.defects == nullptr);
  }

  SECTION("a batch without identities reads back without them") {
    BatchBuilder b(stream);
    b.BeginRecord(Offset(0), 0);
    b.column(0).AppendInteger(5);
    for (size_t i = 1; i < stream.columns.size(); ++i) {
      stream.columns[i].not_null ? b.column(i).AppendText("x") : b.column(i).AppendNull();
    }
    b.EndRow(-1, 0);
    const EventBatch out = decode(codec.Encode(stream, b.Build()).value()).value();
    CHECK(out.producer == nullptr);
    CHECK(out.producers.empty());
    CHECK(out.columns[1].IsNull(0));
  }

  SECTION("a column that is NULL in every row costs next to nothing, one with a value reads back") {
    StreamSpec wide = stream;
    for (int i = 0; i < 1'000; ++i) {
      const Type types[] = {Type::kInt, Type::kBigint, Type::kDouble, Type::kText, Type::kBool};
      wide.columns.push_back({"w" + std::to_string(i), types[i % 5], false});
    }
    const size_t rows = 2'000;
    const auto block = [&](const StreamSpec& s, size_t filled) {
      BatchBuilder b(s);
      b.BeginRecord(Offset(0), 0);
      for (size_t row = 0; row < rows; ++row) {
        b.column(0).AppendInteger(static_cast<int64_t>(row));
        b.column(4).AppendText("x");
        if (filled > 0 && row % 3 == 1) b.column(filled).AppendInteger(7);
        b.EndRow(-1, 0);
      }
      return codec.Encode(s, b.Build()).value();
    };
    const std::string narrow = block(stream, 0);
    const std::string bytes = block(wide, 0);
    CHECK(bytes.size() < narrow.size() + 200);
    const size_t filled = stream.columns.size() + 500;  // an int
    const std::string more = block(wide, filled);
    CHECK(more.size() < narrow.size() + 5 * rows);
    const EventBatch out = codec.Decode(wide, Buffer::Own(more), Offset(0), 0).value();
    REQUIRE(out.columns.size() == wide.columns.size());
    for (size_t row = 0; row < rows; ++row) {
      for (size_t c = 1; c < out.columns.size(); ++c)
        REQUIRE(out.columns[c].IsNull(row) == (c != 4 && (c != filled || row % 3 != 1)));
      CHECK(out.columns[0].Integer(row) == static_cast<int64_t>(row));
    }
    CHECK(out.columns[filled].Integer(1) == 7);
    CHECK(TouchAll(out) > 0);
  }

  SECTION("a NOT NULL column that is left out is refused") {
    BatchBuilder b(stream);
    b.BeginRecord(Offset(0), 0);
    const size_t without = GENERATE(size_t{0}, size_t{4});
    if (without != 0) b.column(0).AppendInteger(5);
    if (without != 4) b.column(4).AppendText("x");
    b.EndRow(-1, 0);
    CHECK(decode(codec.Encode(stream, b.Build()).value()).error().code == Code::kCorruption);
  }

  SECTION("a block may lie at any address") {
    const EventBatch in = RandomBatch(stream, 5, 100);
    const std::string block = codec.Encode(stream, in).value();
    for (size_t shift = 0; shift < 8; ++shift) {
      const auto held = std::make_shared<const std::string>(std::string(16 + shift, '#') + block);
      const std::string_view view = std::string_view(*held).substr(16 + shift);
      const EventBatch out = codec.Decode(stream, {held, view}, Offset(0), 0).value();
      CHECK(TouchAll(out) == TouchAll(in));
      for (const Column& c : out.columns) CHECK(reinterpret_cast<uintptr_t>(c.values) % 4 == 0);
    }
  }

  SECTION("a block past the limit is not written") {
    BatchBuilder b(stream);
    b.BeginRecord(Offset(0), 0);
    for (int r = 0; r < 4; ++r) {
      b.column(0).AppendInteger(5);
      for (size_t i = 1; i < stream.columns.size(); ++i) {
        stream.columns[i].not_null ? b.column(i).AppendText(std::string(800'000, 'x'))
                                   : b.column(i).AppendNull();
      }
      b.EndRow(-1, 0);
    }
    CHECK(codec.Encode(stream, b.Build()).error().code == Code::kInvalidArgument);
  }

  SECTION("a block of another stream or schema is refused") {
    const std::string block = codec.Encode(stream, RandomBatch(stream, 1, 10)).value();
    StreamSpec other = stream;
    const int what = GENERATE(0, 1, 2, 3, 4, 5);
    if (what == 5) other.generation = Offset(stream.generation.value + 1);
    if (what == 0) other.schema_id = 4;
    if (what == 1) other.columns.push_back({"new", Type::kInt, false});
    if (what == 2) other.columns.pop_back();
    if (what == 3) other.keep_raw = !other.keep_raw;
    if (what == 4) std::swap(other.columns[0].type, other.columns[4].type);
    CHECK(codec.Decode(other, Buffer::Own(block), Offset(0), 0).error().code == Code::kCorruption);
  }

  SECTION("NULL in a NOT NULL column and event times out of range are refused") {
    EventBatch in = RandomBatch(stream, 3, 20);
    const auto refused = [&] {
      const auto out = decode(codec.Encode(stream, in).value());
      return !out.ok() && out.error().code == Code::kCorruption;
    };
    CHECK_FALSE(refused());
    std::vector<uint8_t> nulls(20, 0);
    nulls[19] = 1;
    const size_t column = GENERATE(size_t{0}, size_t{4});
    in.columns[column].nulls = nulls.data();
    CHECK(refused());
    in.columns[column].nulls = nullptr;
    std::vector<int64_t> times(20, 0);
    in.columns[0].values = times.data();
    CHECK_FALSE(refused());
    times[7] = GENERATE(kMinEventTime - 1, kMaxEventTime + 1, kPlusInfinity, kMinusInfinity);
    CHECK(refused());
  }

  SECTION("producer indices, sequences and text that lie are refused") {
    EventBatch in = RandomBatch(stream, 3, 20);
    const auto refused = [&] {
      return decode(codec.Encode(stream, in).value()).error().code == Code::kCorruption;
    };
    std::vector<int16_t> producer(20, 1);
    std::vector<int64_t> sequence(20, 1);
    in.producer = producer.data();
    in.sequence = sequence.data();
    SECTION("producer") {
      producer[3] = GENERATE(int16_t{2}, int16_t{-2});
      CHECK(refused());
    }
    SECTION("sequence") {
      sequence[19] = -1;
      CHECK(refused());
    }
    SECTION("text") {
      ColumnData text(Type::kText);
      for (int i = 0; i < 18; ++i) text.AppendText("a");
      SECTION("broken") { text.AppendText("\xff"), text.AppendText("b"); }
      SECTION("split between values") { text.AppendText("\xc3"), text.AppendText("\xa9"); }
      SECTION("surrogate") { text.AppendText("\xed\xa0\x80"), text.AppendText("b"); }
      in.columns[4] = text.View();
      CHECK(refused());
    }
  }

  SECTION("any flipped bit or missing end is found by the checksum") {
    const std::string block = codec.Encode(stream, RandomBatch(stream, 2, 5)).value();
    for (size_t bit = 0; bit < block.size() * 8; ++bit) {
      std::string damaged = block;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      REQUIRE(decode(damaged).error().code == Code::kCorruption);
    }
    for (size_t n = 0; n < block.size(); ++n)
      REQUIRE(decode(block.substr(0, n)).error().code == Code::kCorruption);
  }

  SECTION("damage under a right checksum never reads outside the block") {
    std::mt19937 random(keep_raw ? 11 : 12);
    int accepted = 0;
    for (int round = 0; round < 20'000; ++round) {
      std::string block =
          codec.Encode(stream, RandomBatch(stream, random() % 8, 1 + random() % 40)).value();
      const size_t changes = 1 + random() % 3;
      for (size_t k = 0; k < changes; ++k) {
        // Most changes in the first kilobyte, where the metadata lies.
        const size_t at =
            random() % (random() % 4 ? std::min<size_t>(1000, block.size()) : block.size());
        switch (random() % 4) {
          case 0:
            block[at] = static_cast<char>(block[at] ^ (1 << (random() % 8)));
            break;
          case 1:
            block[at] = static_cast<char>(random());
            break;
          case 2: {
            const uint64_t v = random() % 2 ? ~uint64_t{0} >> (random() % 64) : random() % 4096;
            std::memcpy(block.data() + at, &v, std::min<size_t>(8, block.size() - at));
            break;
          }
          default:
            block.resize(at == 0 ? 1 : at);
        }
      }
      fix(&block);
      const auto out = decode(std::move(block));
      if (out.ok()) {
        ++accepted;
        CHECK(TouchAll(*out) > 0);
      } else {
        REQUIRE(out.error().code == Code::kCorruption);
      }
    }
    INFO("accepted " << accepted);
    CHECK(accepted > 0);
  }
}

}  // namespace millrace::test
