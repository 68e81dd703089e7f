#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/base/task.h"
#include "millrace/model/row.h"

namespace millrace {

struct ServingQuery {
  std::string name_space = "default";
  std::string name;
  Output output = Output::kResults;                       ///< kResults, kLate or kQuarantine
  std::vector<std::pair<std::string, std::string>> keys;  ///< column = canonical text
  std::optional<Micros> from;  ///< window_start >= from; of the late output event_time
  std::optional<Micros> to;    ///< window_start < to; of the late output event_time
  bool meta = false;           ///< also the `_` columns
};

using ServingRows = std::vector<std::vector<Value>>;

struct ServingTable {
  std::vector<std::string> names;
  std::vector<Type> types;
  ServingRows rows;
};

/// The answer to one query, page by page. It stays with the incarnation that it was opened on.
///
/// Each page shows what stood at a moment of its own. No row comes twice. A row that stands from
/// Open to the last page comes; one that is written or deleted in between may come or not.
class RowCursor {
 public:
  virtual ~RowCursor() = default;

  virtual const std::vector<std::string>& names() const = 0;
  virtual const std::vector<Type>& types() const = 0;

  /// The next rows: at most `max_rows`, and none after those that hold `max_bytes` (RowBytes). So a
  /// page holds less than `max_bytes` and one row. No row: the answer is at its end. One call at a
  /// time. kUnavailable: the store did not answer, or Cancel was called.
  virtual Task<Result<ServingRows>> Next(size_t max_rows, size_t max_bytes) = 0;

  /// Ends the Next under way soon, and every later one at once. From any thread.
  virtual void Cancel() = 0;
};

/// Who asks for rows that stand. Threads: any executor.
class ServingReader {
 public:
  virtual ~ServingReader() = default;

  /// Rows come by window end, window start, group key; those of late and quarantine by partition
  /// and sequence. kNotFound: no view has this name. kInvalidArgument: a filter that does not fit.
  virtual Task<Result<std::shared_ptr<RowCursor>>> Open(ServingQuery query) = 0;
};

/// What a row takes in memory, about.
size_t RowBytes(const std::vector<Value>& row);

}  // namespace millrace
