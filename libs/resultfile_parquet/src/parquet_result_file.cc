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
#include "millrace/resultfile/check_rows.h"

namespace millrace::resultfile_parquet {
namespace {

constexpr int64_t kRowGroup = 131'072;
constexpr int kZstdLevel = 3;

using Column = std::shared_ptr<arrow::Array>;

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
      return integers(
          arrow::TimestampBuilder(arrow::timestamp(arrow::TimeUnit::MICRO, "UTC"), pool));
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
      return Build(arrow::Decimal128Builder(arrow::decimal128(38, 0), pool), rows.size(),
                   each([](auto* b, const auto& data) {
                     const Int128 v = std::get<Int128>(data);
                     return b->Append(arrow::Decimal128(static_cast<int64_t>(v >> 64),
                                                        static_cast<uint64_t>(v)));
                   }));
  }
  return arrow::Status::Invalid("no such type");
}

arrow::Result<std::shared_ptr<arrow::Buffer>> WriteFile(const std::vector<OutputColumn>& columns,
                                                        const std::vector<OutputRow>& rows) {
  arrow::MemoryPool* const pool = arrow::system_memory_pool();
  arrow::FieldVector fields;
  std::vector<Column> arrays;
  for (size_t i = 0; i < columns.size(); ++i) {
    ARROW_ASSIGN_OR_RAISE(Column array, BuildColumn(columns[i].expr.type, rows, i));
    fields.push_back(arrow::field(columns[i].name, array->type()));
    arrays.push_back(std::move(array));
  }
  const std::pair<const char*, int64_t OutputRow::*> numbers[] = {
      {"_revision", &OutputRow::revision},
      {"_result_seq", &OutputRow::result_seq},
      {"_seq", &OutputRow::seq}};
  for (const auto& [name, member] : numbers) {
    ARROW_ASSIGN_OR_RAISE(Column array, Build(arrow::Int64Builder(pool), rows.size(),
                                              [&rows, m = member](auto* b, size_t i) {
                                                return b->Append(rows[i].*m);
                                              }));
    fields.push_back(arrow::field(name, arrow::int64(), false));
    arrays.push_back(std::move(array));
  }
  const auto table = arrow::Table::Make(arrow::schema(std::move(fields)), std::move(arrays),
                                        static_cast<int64_t>(rows.size()));
  const auto properties = parquet::WriterProperties::Builder()
                              .version(parquet::ParquetVersion::PARQUET_2_6)
                              ->compression(parquet::Compression::ZSTD)
                              ->compression_level(kZstdLevel)
                              ->max_row_group_length(kRowGroup)
                              ->created_by("millrace")
                              ->memory_pool(pool)
                              ->build();
  const auto arrow_properties =
      parquet::ArrowWriterProperties::Builder().set_use_threads(false)->build();
  ARROW_ASSIGN_OR_RAISE(const auto out, arrow::io::BufferOutputStream::Create(1 << 16, pool));
  ARROW_RETURN_NOT_OK(
      parquet::arrow::WriteTable(*table, pool, out, kRowGroup, properties, arrow_properties));
  return out->Finish();
}

}  // namespace

Task<Result<Buffer>> ParquetResultFileWriter::Encode(const std::vector<OutputColumn>& columns,
                                                     std::vector<OutputRow> rows) {
  MILLRACE_CO_TRY(CheckFileRows(columns, rows));
  auto work = Offload([columns, rows = std::move(rows)]() -> Result<Buffer> {
    const auto written = WriteFile(columns, rows);
    if (!written.ok())
      return Internal("a result file could not be encoded error=\"" + written.status().ToString() +
                      "\"");
    const std::shared_ptr<arrow::Buffer>& file = *written;
    return Buffer{file,
                  {reinterpret_cast<const char*>(file->data()), static_cast<size_t>(file->size())}};
  });
  auto file = co_await std::move(work);
  co_return file;
}

}  // namespace millrace::resultfile_parquet
