#pragma once

#include <string>
#include <vector>

#include "millrace/base/bytes.h"
#include "millrace/base/result.h"
#include "millrace/base/task.h"
#include "millrace/model/row.h"
#include "millrace/model/spec.h"

namespace millrace {

/// Turns the rows of one finished file into the file's bytes. The same rows give the same bytes,
/// whoever writes them. Columns: the SELECT's, then _revision, _result_seq, _seq (all bigint).
class ResultFileWriter {
 public:
  virtual ~ResultFileWriter() = default;

  /// `rows` are Output::kFiles rows, numbered without a gap, no end marks. kInternal: they are not.
  virtual Task<Result<Buffer>> Encode(const std::vector<OutputColumn>& columns,
                                      std::vector<OutputRow> rows) = 0;
};

}  // namespace millrace
