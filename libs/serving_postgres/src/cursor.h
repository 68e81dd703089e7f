#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "lane.h"
#include "millrace/serving/serving_reader.h"

namespace millrace::serving_postgres {

/// Reads a table page by page, each in a transaction of its own that begins behind the last row of
/// the page before. So nothing is held between two pages: no snapshot that would keep dead rows, no
/// connection.
class Cursor : public RowCursor {
 public:
  /// On a thread of the lane, with its connection. Errors as ServingReader::Open.
  static Result<std::shared_ptr<RowCursor>> Open(std::weak_ptr<Lane> lane, Connection& connection,
                                                 const ServingQuery& query);

  const std::vector<std::string>& names() const override { return names_; }
  const std::vector<Type>& types() const override { return types_; }
  Task<Result<ServingRows>> Next(size_t max_rows, size_t max_bytes) override;
  void Cancel() override { state_->cancelled = true; }

 private:
  /// What the lane's thread works with, also when the cursor is gone.
  struct State {
    std::string sql;  ///< parameters: `params`, where it begins, how many rows
    Params params;
    std::vector<Type> types;
    bool results = false;
    /// The last row that was given: its `_key`, or partition and sequence.
    std::string after_key;
    int64_t after_partition = -1;
    int64_t after_seq = 0;
    std::atomic<bool> cancelled = false;

    Result<ServingRows> Page(Connection& connection, size_t max_rows, size_t max_bytes);
  };

  Cursor(std::weak_ptr<Lane> lane, std::shared_ptr<State> state, std::vector<std::string> names)
      : lane_(std::move(lane)),
        state_(std::move(state)),
        names_(std::move(names)),
        types_(state_->types) {}

  const std::weak_ptr<Lane> lane_;
  const std::shared_ptr<State> state_;
  const std::vector<std::string> names_;
  const std::vector<Type> types_;
};

}  // namespace millrace::serving_postgres
