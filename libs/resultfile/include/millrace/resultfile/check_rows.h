#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/model/row.h"
#include "millrace/model/spec.h"
#include "millrace/resultfile/result_file.h"

namespace millrace {

/// Takes rows from a FileRows and checks them against the columns of their file.
class CheckedRows {
 public:
  /// Rows of a file that are decoded at a time.
  static constexpr size_t kPart = 4096;

  CheckedRows(std::vector<OutputColumn> columns, std::shared_ptr<FileRows> rows)
      : columns_(std::move(columns)), rows_(std::move(rows)) {}

  /// The next kPart rows; none at the end. kInternal: a row is no file row, its number is not the
  /// one after the row before, or its values do not fit the columns.
  Result<std::vector<OutputRow>> Next();
  const std::vector<OutputColumn>& columns() const { return columns_; }

 private:
  Status Check(const OutputRow& row) const;

  const std::vector<OutputColumn> columns_;
  const std::shared_ptr<FileRows> rows_;
  int64_t next_seq_ = 0;  ///< 0: nothing was read
};

}  // namespace millrace
