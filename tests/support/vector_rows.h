#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "millrace/resultfile/result_file.h"

namespace millrace::test {

/// Rows of a file that are all there.
class VectorRows : public FileRows {
 public:
  explicit VectorRows(std::vector<OutputRow> rows) : rows_(std::move(rows)) {}

  Result<std::vector<OutputRow>> Next(size_t limit) override {
    const auto from = rows_.begin() + static_cast<std::ptrdiff_t>(at_);
    const size_t n = std::min(limit, rows_.size() - at_);
    at_ += n;
    return std::vector<OutputRow>(from, from + static_cast<std::ptrdiff_t>(n));
  }

 private:
  const std::vector<OutputRow> rows_;
  size_t at_ = 0;
};

}  // namespace millrace::test
