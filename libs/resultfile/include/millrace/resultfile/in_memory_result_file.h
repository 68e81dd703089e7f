#pragma once

#include "millrace/resultfile/result_file.h"

namespace millrace {

/// Files that are our own row encoding (docs/formats/row.md), row after row.
class InMemoryResultFileWriter : public ResultFileWriter {
 public:
  Task<Result<Buffer>> Encode(const std::vector<OutputColumn>& columns,
                              std::shared_ptr<FileRows> rows) override;
};

}  // namespace millrace
