#include "millrace/resultfile/in_memory_result_file.h"

#include "millrace/resultfile/check_rows.h"

namespace millrace {

Status CheckFileRows(const std::vector<OutputColumn>& columns, const std::vector<OutputRow>& rows) {
  for (const OutputRow& row : rows) {
    const auto bad = [&](const char* what) {
      return Internal("a row cannot be part of a result file: " + std::string(what) +
                      " seq=" + std::to_string(row.seq));
    };
    if (row.output != Output::kFiles || row.file_end || row.deleted) return bad("not a file row");
    if (row.seq != rows.front().seq + (&row - rows.data()))
      return bad("its number does not follow");
    if (row.values.size() != columns.size()) return bad("another number of columns");
    for (size_t i = 0; i < columns.size(); ++i)
      if (row.values[i].type != columns[i].expr.type) return bad("a value of another type");
  }
  return {};
}

Task<Result<Buffer>> InMemoryResultFileWriter::Encode(const std::vector<OutputColumn>& columns,
                                                      std::vector<OutputRow> rows) {
  MILLRACE_CO_TRY(CheckFileRows(columns, rows));
  std::string bytes;
  for (const OutputRow& row : rows) EncodeRow(row, &bytes);
  co_return Buffer::Own(std::move(bytes));
}

}  // namespace millrace
