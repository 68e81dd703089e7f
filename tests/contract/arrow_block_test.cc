#include <arrow/buffer.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/dictionary.h>
#include <arrow/ipc/message.h>
#include <arrow/ipc/reader.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>

#include "contract/block_contract.h"
#include "millrace/base/hash.h"
#include "millrace/block_arrow/arrow_block_codec.h"

using namespace millrace;

namespace {

void FixChecksum(std::string* block) {
  if (block->size() < 8) return;
  const uint32_t crc = Crc32c(std::string_view(*block).substr(8));
  std::memcpy(block->data() + 4, &crc, sizeof crc);
}

}  // namespace

TEST_CASE("Arrow blocks keep the contract of blocks") {
  test::CheckBlockContract(block_arrow::ArrowBlockCodec(), FixChecksum);
}

TEST_CASE("the body of a block is what Arrow's own reader takes for a record batch") {
  const StreamSpec stream = test::BlockStream();
  const EventBatch batch = test::RandomBatch(stream, 4, 100);
  const std::string block = block_arrow::ArrowBlockCodec().Encode(stream, batch).value();
  uint32_t body_bytes = 0;
  std::memcpy(&body_bytes, block.data() + 28, sizeof body_bytes);
  auto input = arrow::io::BufferReader::FromString(block.substr(block.size() - body_bytes));
  const auto message = arrow::ipc::ReadMessage(input.get()).ValueOrDie();
  const auto schema = arrow::schema(
      {arrow::field("ts", arrow::timestamp(arrow::TimeUnit::MICRO, "UTC")),
       arrow::field("i", arrow::int32()), arrow::field("b", arrow::int64()),
       arrow::field("d", arrow::float64()), arrow::field("t", arrow::utf8()),
       arrow::field("u", arrow::utf8()), arrow::field("o", arrow::boolean()),
       arrow::field("_producer", arrow::int16()), arrow::field("_seq", arrow::int64())});
  arrow::ipc::DictionaryMemo memo;
  const auto read =
      arrow::ipc::ReadRecordBatch(*message, schema, &memo, arrow::ipc::IpcReadOptions::Defaults())
          .ValueOrDie();
  CHECK(read->num_rows() == 100);
  CHECK(read->ValidateFull().ok());
}

TEST_CASE("bits beyond the columns, and more rows than the body can hold, are refused") {
  const StreamSpec stream = test::BlockStream();
  const block_arrow::ArrowBlockCodec codec;
  const std::string block = codec.Encode(stream, test::RandomBatch(stream, 4, 100)).value();
  const auto refused = [&](size_t at, uint8_t byte) {
    std::string changed = block;
    changed[at] = static_cast<char>(byte);
    FixChecksum(&changed);
    return !codec.Decode(stream, Buffer::Own(std::move(changed)), Offset(0), 0).ok();
  };
  REQUIRE(block[32] == 7);
  REQUIRE(block[33] == 0x7f);
  CHECK_FALSE(refused(33, 0x7f));
  CHECK(refused(33, 0xff));
  CHECK(refused(33, 0x7d));
  CHECK(refused(23, 0x7f));
}
