#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/base/result.h"

namespace millrace::cli {

/// Keeps the refused records of a run as they were, so that they alone are sent again when they are
/// corrected: FILE has them in the order of the input, FILE.reasons a line for each.
///
/// Threads: one calls Header, Add and Finish; Settle from any. Bounded: Add waits while too much
/// text stands between the first record without an outcome and the newest.
class Rejects {
 public:
  static constexpr size_t kMostBytes = 32 << 20;

  /// Empties both files. kConflict: one of them is the input.
  static Result<std::unique_ptr<Rejects>> Create(const std::string& path, const std::string& input);

  /// The first line of a CSV.
  void Header(std::string_view text);
  /// The next record; sequences rise by one. Empty text: it could not be kept.
  void Add(int64_t sequence, int64_t line, std::string_view text);
  /// What became of a record: nullopt, it was taken; else why it was refused.
  void Settle(int64_t sequence, std::optional<std::string> reason);
  /// After every record was settled. Removes both files if nothing was refused.
  Status Finish();

 private:
  struct Record {
    int64_t line = 0;
    std::string text;
    bool settled = false;
    std::optional<std::string> reason{};
  };

  explicit Rejects(std::string path);
  void Write(const Record& record);

  const std::string path_;
  const std::string reasons_path_;
  std::mutex mutex_;
  std::condition_variable settled_;
  std::ofstream records_;
  std::ofstream reasons_;
  std::string header_;
  std::deque<Record> open_;  ///< from the first without an outcome on
  int64_t first_ = 1;        ///< sequence of the first of them
  size_t bytes_ = 0;
  int64_t written_ = 0;
};

}  // namespace millrace::cli
