#pragma once

#include "millrace/resultfile/result_file.h"

namespace millrace::resultfile_parquet {

/// docs/formats/resultfile.md. Encoding is offloaded; it takes about the memory of the rows again.
class ParquetResultFileWriter : public ResultFileWriter {
 public:
  Task<Result<Buffer>> Encode(const std::vector<OutputColumn>& columns,
                              std::shared_ptr<FileRows> rows) override;
};

}  // namespace millrace::resultfile_parquet
