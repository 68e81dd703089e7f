#include "millrace/resultfile/in_memory_result_file.h"

#include "millrace/base/facts.h"
#include "millrace/resultfile/check_rows.h"

namespace millrace {

Status CheckedRows::Check(const OutputRow& row) const {
  const auto bad = [&](const char* what) {
    return Internal("a row cannot be part of a result file: " + std::string(what),
                    {{"seq", row.seq}});
  };
  if (row.output != Output::kFiles || row.file_end || row.deleted) return bad("not a file row");
  if (next_seq_ != 0 && row.seq != next_seq_) return bad("its number does not follow");
  if (row.values.size() != columns_.size()) return bad("another number of columns");
  for (size_t i = 0; i < columns_.size(); ++i)
    if (row.values[i].type != columns_[i].expr.type) return bad("a value of another type");
  return {};
}

Result<std::vector<OutputRow>> CheckedRows::Next() {
  MILLRACE_ASSIGN(std::vector<OutputRow> rows, rows_->Next(kPart));
  for (const OutputRow& row : rows) {
    MILLRACE_TRY(Check(row));
    next_seq_ = row.seq + 1;
  }
  return rows;
}

Task<Result<Buffer>> InMemoryResultFileWriter::Encode(const std::vector<OutputColumn>& columns,
                                                      std::shared_ptr<FileRows> rows) {
  CheckedRows checked(columns, std::move(rows));
  std::string bytes;
  for (;;) {
    MILLRACE_CO_ASSIGN(const std::vector<OutputRow> part, checked.Next());
    if (part.empty()) break;
    for (const OutputRow& row : part) EncodeRow(row, &bytes);
  }
  co_return Buffer::Own(std::move(bytes));
}

}  // namespace millrace
