#pragma once

#include <memory>
#include <string>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/result.h"
#include "millrace/base/task.h"
#include "millrace/model/row.h"
#include "millrace/model/spec.h"

namespace millrace {

/// The rows of one finished file from the first to the last, a part at a time: Output::kFiles rows,
/// numbered without a gap, no end marks. Making them may take long, so it is done where an Offload
/// runs. Threads: one at a time.
class FileRows {
 public:
  virtual ~FileRows() = default;

  /// The next rows, at most `limit`; none at the end.
  virtual Result<std::vector<OutputRow>> Next(size_t limit) = 0;
};

/// Turns the rows of one finished file into the file's bytes. The same rows give the same bytes,
/// whoever writes them. Columns: the SELECT's, then _revision, _result_seq, _seq (all bigint).
class ResultFileWriter {
 public:
  virtual ~ResultFileWriter() = default;

  /// Holds a part of the rows at a time, beside the file that it makes. kInternal: they are no file
  /// rows of these columns.
  virtual Task<Result<Buffer>> Encode(const std::vector<OutputColumn>& columns,
                                      std::shared_ptr<FileRows> rows) = 0;
};

}  // namespace millrace
