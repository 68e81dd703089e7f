#include "millrace/resultfile_parquet/parquet_result_file.h"

#include <arrow/array/builder_binary.h>
#include <arrow/array/builder_decimal.h>
#include <arrow/array/builder_primitive.h>
#include <arrow/array/builder_time.h>
#include <arrow/io/memory.h>
#include <arrow/memory_pool.h>
#include <arrow/table.h>
#include <arrow/type.h>
#include <arrow/util/decimal.h>
#include <parquet/arrow/writer.h>
#include <parquet/properties.h>

#include <utility>

#include "millrace/base/executor.h"
#include "millrace/base/facts.h"
#include "millrace/resultfile/check_rows.h"

namespace millrace::resultfile_parquet {
namespace {

constexpr int64_t kRowGroup = 131'072;
static_assert(kRowGroup % CheckedRows::kPart == 0, "row groups are made of whole parts");
constexpr int kZstdLevel = 3;

using Column = std::shared_ptr<arrow::Array>;

std::shared_ptr<arrow::DataType> ArrowType(Type type) {
  switch (type) {
    case Type::kInt:
      return arrow::int32();
    case Type::kBigint:
      return arrow::int64();
    case Type::kTimestamp:
      return arrow::timestamp(arrow::TimeUnit::MICRO, "UTC");
    case Type::kBool:
      return arrow::boolean();
    case Type::kDouble:
      return arrow::float64();
    case Type::kText:
      return arrow::utf8();
    case Type::kNumeric:
      return arrow::decimal128(38, 0);
  }
  return arrow::null();
}

/// One array of `rows` values; `value` gives a value's data, or monostate for NULL.
template <typename Builder, typename Get>
arrow::Result<Column> Build(Builder builder, size_t rows, Get value) {
  ARROW_RETURN_NOT_OK(builder.Reserve(static_cast<int64_t>(rows)));
  for (size_t i = 0; i < rows; ++i) ARROW_RETURN_NOT_OK(value(&builder, i));
  return builder.Finish();
}

arrow::Result<Column> BuildColumn(Type type, const std::vector<OutputRow>& rows, size_t column) {
  arrow::MemoryPool* const pool = arrow::system_memory_pool();
  /// Appends by `append(builder, data)` what is not NULL.
  const auto each = [&](auto append) {
    return [&rows, column, append](auto* builder, size_t i) {
      const Value& v = rows[i].values[column];
      return v.is_null() ? builder->AppendNull() : append(builder, v.data);
    };
  };
  const auto integers = [&](auto builder) {
    using CType = typename decltype(builder)::value_type;
    return Build(std::move(builder), rows.size(), each([](auto* b, const auto& data) {
                   return b->Append(static_cast<CType>(std::get<int64_t>(data)));
                 }));
  };
  switch (type) {
    case Type::kInt:
      return integers(arrow::Int32Builder(pool));
    case Type::kBigint:
      return integers(arrow::Int64Builder(pool));
    case Type::kTimestamp:
      return integers(arrow::TimestampBuilder(ArrowType(type), pool));
    case Type::kBool:
      return Build(arrow::BooleanBuilder(pool), rows.size(), each([](auto* b, const auto& data) {
                     return b->Append(std::get<int64_t>(data) != 0);
                   }));
    case Type::kDouble:
      return Build(arrow::DoubleBuilder(pool), rows.size(), each([](auto* b, const auto& data) {
                     return b->Append(std::get<double>(data));
                   }));
    case Type::kText:
      return Build(arrow::StringBuilder(pool), rows.size(), each([](auto* b, const auto& data) {
                     return b->Append(std::get<std::string>(data));
                   }));
    case Type::kNumeric:
      return Build(arrow::Decimal128Builder(ArrowType(type), pool), rows.size(),
                   each([](auto* b, const auto& data) {
                     const Int128 v = std::get<Int128>(data);
                     return b->Append(arrow::Decimal128(static_cast<int64_t>(v >> 64),
                                                        static_cast<uint64_t>(v)));
                   }));
  }
  return arrow::Status::Invalid("no such type");
}

/// The columns that follow the view's.
constexpr std::pair<const char*, int64_t OutputRow::*> kNumbers[] = {
    {"_revision", &OutputRow::revision},
    {"_result_seq", &OutputRow::result_seq},
    {"_seq", &OutputRow::seq}};

/// One row group while its rows come in.
struct RowGroup {
  explicit RowGroup(size_t columns) : parts(columns) {}

  arrow::Status Add(const std::vector<OutputColumn>& columns, const std::vector<OutputRow>& of) {
    size_t at = 0;
    for (; at < columns.size(); ++at) {
      ARROW_ASSIGN_OR_RAISE(Column array, BuildColumn(columns[at].expr.type, of, at));
      parts[at].push_back(std::move(array));
    }
    for (const auto& number : kNumbers) {
      ARROW_ASSIGN_OR_RAISE(
          Column array,
          Build(arrow::Int64Builder(arrow::system_memory_pool()), of.size(),
                [&of, m = number.second](auto* b, size_t i) { return b->Append(of[i].*m); }));
      parts[at++].push_back(std::move(array));
    }
    rows += static_cast<int64_t>(of.size());
    return arrow::Status::OK();
  }
  /// Empties it.
  arrow::Status WriteTo(parquet::arrow::FileWriter* writer) {
    arrow::ChunkedArrayVector columns;
    for (size_t i = 0; i < parts.size(); ++i) {
      ARROW_ASSIGN_OR_RAISE(auto column, arrow::ChunkedArray::Make(
                                             std::exchange(parts[i], {}),
                                             writer->schema()->field(static_cast<int>(i))->type()));
      columns.push_back(std::move(column));
    }
    const auto table = arrow::Table::Make(writer->schema(), std::move(columns), rows);
    rows = 0;
    return writer->WriteTable(*table, kRowGroup);
  }

  std::vector<arrow::ArrayVector> parts;  ///< by column
  int64_t rows = 0;
};

std::shared_ptr<arrow::Schema> SchemaOf(const std::vector<OutputColumn>& columns) {
  arrow::FieldVector fields;
  for (const OutputColumn& c : columns)
    fields.push_back(arrow::field(c.name, ArrowType(c.expr.type)));
  for (const auto& number : kNumbers)
    fields.push_back(arrow::field(number.first, arrow::int64(), false));
  return arrow::schema(std::move(fields));
}

arrow::Result<std::shared_ptr<arrow::Buffer>> WriteFile(CheckedRows* rows, Status* refused) {
  arrow::MemoryPool* const pool = arrow::system_memory_pool();
  const auto properties = parquet::WriterProperties::Builder()
                              .version(parquet::ParquetVersion::PARQUET_2_6)
                              ->compression(parquet::Compression::ZSTD)
                              ->compression_level(kZstdLevel)
                              ->max_row_group_length(kRowGroup)
                              ->created_by("millrace")
                              ->enable_page_checksum()
                              ->memory_pool(pool)
                              ->build();
  const auto arrow_properties =
      parquet::ArrowWriterProperties::Builder().set_use_threads(false)->build();
  ARROW_ASSIGN_OR_RAISE(const auto out, arrow::io::BufferOutputStream::Create(1 << 16, pool));
  const auto schema = SchemaOf(rows->columns());
  ARROW_ASSIGN_OR_RAISE(const auto writer, parquet::arrow::FileWriter::Open(
                                               *schema, pool, out, properties, arrow_properties));
  RowGroup group(static_cast<size_t>(schema->num_fields()));
  bool wrote = false;
  for (;;) {
    const auto part = rows->Next();
    if (!part.ok()) {
      *refused = part.error();
      return arrow::Status::Invalid("refused");
    }
    if (!part->empty()) ARROW_RETURN_NOT_OK(group.Add(rows->columns(), *part));
    // A file without rows has one empty group.
    if (group.rows >= kRowGroup || (part->empty() && (group.rows > 0 || !wrote))) {
      ARROW_RETURN_NOT_OK(group.WriteTo(writer.get()));
      wrote = true;
    }
    if (part->empty()) break;
  }
  ARROW_RETURN_NOT_OK(writer->Close());
  return out->Finish();
}

}  // namespace

Task<Result<Buffer>> ParquetResultFileWriter::Encode(const std::vector<OutputColumn>& columns,
                                                     std::shared_ptr<FileRows> rows) {
  auto checked = std::make_shared<CheckedRows>(columns, std::move(rows));
  auto work = Offload([checked]() -> Result<Buffer> {
    Status refused;
    const auto written = WriteFile(checked.get(), &refused);
    MILLRACE_TRY(refused);
    if (!written.ok())
      return Internal("a result file could not be encoded",
                      {{"error", written.status().ToString()}});
    const std::shared_ptr<arrow::Buffer>& file = *written;
    return Buffer{file,
                  {reinterpret_cast<const char*>(file->data()), static_cast<size_t>(file->size())}};
  });
  auto file = co_await std::move(work);
  co_return file;
}

}  // namespace millrace::resultfile_parquet
