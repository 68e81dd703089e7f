#include <arrow/array/data.h>
#include <arrow/buffer.h>
#include <arrow/ipc/writer.h>
#include <arrow/memory_pool.h>
#include <arrow/record_batch.h>
#include <arrow/type.h>

#include <cstring>
#include <limits>

#include "block_format.h"
#include "millrace/base/check.h"
#include "millrace/base/facts.h"
#include "millrace/base/hash.h"
#include "millrace/block_arrow/arrow_block_codec.h"

namespace millrace::block_arrow {
namespace {

using ArrowBuffer = std::shared_ptr<arrow::Buffer>;

ArrowBuffer Wrap(const void* data, size_t bytes) {
  return std::make_shared<arrow::Buffer>(static_cast<const uint8_t*>(data),
                                         static_cast<int64_t>(bytes));
}

/// A bit per row: set where byte(row) is not 0.
template <typename F>
ArrowBuffer Bitmap(size_t rows, F byte) {
  std::string bits((rows + 7) / 8, '\0');
  for (size_t i = 0; i < rows; ++i) {
    if (byte(i)) bits[i / 8] = static_cast<char>(bits[i / 8] | (1 << (i % 8)));
  }
  return arrow::Buffer::FromString(std::move(bits));
}

std::shared_ptr<arrow::DataType> ArrowType(Type type) {
  switch (type) {
    case Type::kInt:
      return arrow::int32();
    case Type::kBigint:
      return arrow::int64();
    case Type::kDouble:
      return arrow::float64();
    case Type::kText:
      return arrow::utf8();
    case Type::kBool:
      return arrow::boolean();
    case Type::kTimestamp:
      return arrow::timestamp(arrow::TimeUnit::MICRO, "UTC");
    case Type::kNumeric:
      break;
  }
  MILLRACE_CHECK(false, "no stream has a numeric column");
  return nullptr;
}

size_t Width(Type type) { return type == Type::kInt ? 4 : 8; }

std::shared_ptr<arrow::ArrayData> ArrowColumn(const Column& column, size_t rows) {
  ArrowBuffer validity;
  if (column.nulls != nullptr) validity = Bitmap(rows, [&](size_t i) { return !column.nulls[i]; });
  std::vector<ArrowBuffer> buffers;
  if (column.type == Type::kText) {
    const auto* offsets = column.As<int32_t>();
    buffers = {validity, Wrap(offsets, (rows + 1) * sizeof(int32_t)),
               Wrap(column.text, static_cast<size_t>(offsets[rows]))};
  } else if (column.type == Type::kBool) {
    buffers = {validity, Bitmap(rows, [&](size_t i) { return column.As<uint8_t>()[i] != 0; })};
  } else {
    buffers = {validity, Wrap(column.values, rows * Width(column.type))};
  }
  return arrow::ArrayData::Make(ArrowType(column.type), static_cast<int64_t>(rows),
                                std::move(buffers), validity ? arrow::kUnknownNullCount : 0);
}

bool NullInEveryRow(const Column& column, size_t rows) {
  return column.nulls != nullptr && std::memchr(column.nulls, 0, rows) == nullptr;
}

/// The `_raw` column. nullptr: more text than its offsets can count.
std::shared_ptr<arrow::ArrayData> RawColumn(const std::string_view* payload, size_t rows) {
  std::string text;
  std::vector<int32_t> offsets(1, 0);
  for (size_t i = 0; i < rows; ++i) {
    if (payload != nullptr) text.append(payload[i]);
    if (text.size() > std::numeric_limits<int32_t>::max()) return nullptr;
    offsets.push_back(static_cast<int32_t>(text.size()));
  }
  auto validity = Bitmap(rows, [&](size_t i) { return payload != nullptr && !payload[i].empty(); });
  return arrow::ArrayData::Make(arrow::utf8(), static_cast<int64_t>(rows),
                                {std::move(validity), arrow::Buffer::FromVector(std::move(offsets)),
                                 arrow::Buffer::FromString(std::move(text))});
}

Error ArrowError(const arrow::Status& status) {
  return Internal("a block could not be encoded", {{"error", status.ToString()}});
}

Error TooLarge(const StreamSpec& stream, size_t bytes) {
  return InvalidArgument("a block is larger than the limit: pack fewer events",
                         {{"stream", stream.name}, {"bytes", bytes}, {"limit", kMaxBlockBytes}});
}

}  // namespace

Result<std::string> ArrowBlockCodec::Encode(const StreamSpec& stream,
                                            const EventBatch& batch) const {
  MILLRACE_CHECK(batch.schema == stream.schema(), "a batch of another stream");
  MILLRACE_CHECK(batch.defects == nullptr && batch.records.size() == 1 &&
                     batch.producers.size() <= kMaxProducers,
                 "not a batch that fits one block");
  if (batch.rows == 0) return InvalidArgument("a block needs a row", {{"stream", stream.name}});
  const size_t rows = batch.rows;

  std::vector<std::shared_ptr<arrow::ArrayData>> columns;
  arrow::FieldVector fields;
  const auto add = [&](std::string name, std::shared_ptr<arrow::ArrayData> data) {
    fields.push_back(arrow::field(std::move(name), data->type));
    columns.push_back(std::move(data));
  };
  std::string in_body(BitmapBytes(batch.columns.size()), '\0');
  for (size_t i = 0; i < batch.columns.size(); ++i) {
    if (NullInEveryRow(batch.columns[i], rows)) continue;
    in_body[i / 8] = static_cast<char>(in_body[i / 8] | (1 << (i % 8)));
    add(stream.columns[i].name, ArrowColumn(batch.columns[i], rows));
  }
  std::vector<int16_t> nobody;
  std::vector<int64_t> zeros;
  const int16_t* producer = batch.producer;
  const int64_t* sequence = batch.sequence;
  if (producer == nullptr) {
    nobody.assign(rows, -1);
    zeros.assign(rows, 0);
    producer = nobody.data();
    sequence = zeros.data();
  }
  const auto n = static_cast<int64_t>(rows);
  add("_producer",
      arrow::ArrayData::Make(arrow::int16(), n, {nullptr, Wrap(producer, rows * 2)}, 0));
  add("_seq", arrow::ArrayData::Make(arrow::int64(), n, {nullptr, Wrap(sequence, rows * 8)}, 0));
  if (stream.keep_raw) {
    auto raw = RawColumn(batch.payload, rows);
    if (raw == nullptr) return TooLarge(stream, size_t{1} << 31);
    add("_raw", std::move(raw));
  }

  auto options = arrow::ipc::IpcWriteOptions::Defaults();
  options.memory_pool = arrow::system_memory_pool();
  options.use_threads = false;
  const auto record_batch = arrow::RecordBatch::Make(arrow::schema(std::move(fields)), n, columns);
  auto serialized = arrow::ipc::SerializeRecordBatch(*record_batch, options);
  if (!serialized.ok()) return ArrowError(serialized.status());
  const std::shared_ptr<arrow::Buffer>& body = *serialized;

  std::string table;
  ByteWriter w(&table);
  w.Varint(batch.columns.size());
  w.Raw(in_body);
  for (const Producer& p : batch.producers) {
    w.Text(p.principal);
    w.Text(p.id);
    w.Fixed(p.acked_below);
  }
  table.resize(RoundUp8(table.size()), '\0');
  const size_t size = kFixedBytes + table.size() + static_cast<size_t>(body->size());
  if (size > kMaxBlockBytes) return TooLarge(stream, size);

  std::string block;
  block.reserve(size);
  ByteWriter header(&block);
  header.Raw(kMagic);
  header.Fixed(uint32_t{0});
  header.Fixed(FixedHeader{kVersion, static_cast<uint16_t>(batch.producers.size()),
                           static_cast<uint32_t>(stream.schema_id), stream.generation.value,
                           batch.rows, static_cast<uint32_t>(body->size())});
  header.Raw(table);
  header.Raw({reinterpret_cast<const char*>(body->data()), static_cast<size_t>(body->size())});
  const uint32_t crc = Crc32c(std::string_view(block).substr(kChecked));
  std::memcpy(block.data() + kMagic.size(), &crc, sizeof crc);
  return block;
}

}  // namespace millrace::block_arrow
