#include <arrow/array.h>
#include <arrow/buffer.h>
#include <arrow/io/memory.h>
#include <arrow/memory_pool.h>
#include <arrow/scalar.h>
#include <arrow/table.h>
#include <parquet/arrow/reader.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>

#include "contract/resultfile_contract.h"
#include "millrace/resultfile/in_memory_result_file.h"
#include "millrace/resultfile_parquet/parquet_result_file.h"

using namespace millrace;

TEST_CASE("result files in our own encoding keep the contract of result files") {
  test::TestExecutor executor;
  InMemoryResultFileWriter writer;
  test::CheckResultFileContract(executor, writer);
}

TEST_CASE("Parquet result files keep the contract of result files") {
  test::TestExecutor executor;
  resultfile_parquet::ParquetResultFileWriter writer;
  test::CheckResultFileContract(executor, writer);
}

TEST_CASE("a Parquet result file reads back as its rows, with their types") {
  test::TestExecutor executor;
  resultfile_parquet::ParquetResultFileWriter writer;
  const int64_t count = GENERATE(0, 1, 300, 140'000);
  const auto rows = test::FileRows(count);
  const Buffer file = executor
                          .RunUntilDone(writer.Encode(test::FileColumns(),
                                                      std::make_shared<test::VectorRows>(rows)))
                          .value();
  const auto input =
      std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(std::string(file.bytes)));
  const auto metadata = parquet::ParquetFileReader::Open(input)->metadata();
  CHECK(metadata->created_by() == "millrace");
  CHECK(metadata->num_row_groups() == (count > 131'072 ? 2 : 1));
  auto reader = parquet::arrow::OpenFile(input, arrow::system_memory_pool()).ValueOrDie();
  const auto table = reader->ReadTable().ValueOrDie()->CombineChunks().ValueOrDie();
  REQUIRE(table->num_rows() == count);
  std::string types;
  const auto schema = table->schema();
  for (const auto& f : schema->fields()) types += f->name() + ":" + f->type()->ToString() + " ";
  CHECK(types ==
        "i:int32 b:int64 d:double t:string o:bool u:timestamp[us, tz=UTC] n:decimal128(38, 0) "
        "_revision:int64 _result_seq:int64 _seq:int64 ");
  for (int64_t i = 0; i < count; i += 1 + count / 97) {
    const OutputRow& row = rows[static_cast<size_t>(i)];
    const auto cell = [&](int c) { return table->column(c)->GetScalar(i).ValueOrDie(); };
    for (int c = 0; c < 7; ++c) {
      const Value& v = row.values[static_cast<size_t>(c)];
      REQUIRE(cell(c)->is_valid == !v.is_null());
      if (v.is_null() || v.type == Type::kTimestamp || v.type == Type::kDouble) continue;
      CHECK(cell(c)->ToString() == ValueText(v));
    }
    CHECK(cell(7)->ToString() == std::to_string(row.revision));
    CHECK(cell(8)->ToString() == std::to_string(row.result_seq));
    CHECK(cell(9)->ToString() == std::to_string(row.seq));
    if (!row.values[2].is_null()) {
      const auto& doubles = static_cast<const arrow::DoubleArray&>(*table->column(2)->chunk(0));
      const double expected = std::get<double>(row.values[2].data);
      CHECK(
          (doubles.Value(i) == expected || (std::isnan(expected) && std::isnan(doubles.Value(i)))));
    }
    if (!row.values[5].is_null()) {
      const auto& times = static_cast<const arrow::TimestampArray&>(*table->column(5)->chunk(0));
      CHECK(times.Value(i) == std::get<int64_t>(row.values[5].data));
    }
  }
}

TEST_CASE("a reader that verifies page checksums finds a flipped bit in any page") {
  test::TestExecutor executor;
  resultfile_parquet::ParquetResultFileWriter writer;
  const Buffer file =
      executor
          .RunUntilDone(writer.Encode(test::FileColumns(),
                                      std::make_shared<test::VectorRows>(test::FileRows(300))))
          .value();
  const auto read = [](std::string bytes) {
    parquet::ReaderProperties properties;
    properties.set_page_checksum_verification(true);
    parquet::arrow::FileReaderBuilder builder;
    std::unique_ptr<parquet::arrow::FileReader> reader;
    return builder
               .Open(std::make_shared<arrow::io::BufferReader>(
                         arrow::Buffer::FromString(std::move(bytes))),
                     properties)
               .ok() &&
           builder.Build(&reader).ok() && reader->ReadTable().ok();
  };
  const std::string good(file.bytes);
  REQUIRE(read(good));
  const auto input = std::make_shared<arrow::io::BufferReader>(arrow::Buffer::FromString(good));
  const auto metadata = parquet::ParquetFileReader::Open(input)->metadata();
  const auto group = metadata->RowGroup(0);
  for (int c = 0; c < group->num_columns(); ++c) {
    // The last byte of a column's bytes is the last of its last page.
    const auto chunk = group->ColumnChunk(c);
    const int64_t begin =
        chunk->has_dictionary_page() ? chunk->dictionary_page_offset() : chunk->data_page_offset();
    std::string bad = good;
    bad[static_cast<size_t>(begin + chunk->total_compressed_size() - 1)] ^= 1;
    INFO(group->schema()->Column(c)->name());
    CHECK_FALSE(read(bad));
  }
}
