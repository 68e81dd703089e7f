#pragma once

#include <memory>
#include <string>

#include "millrace/base/result.h"

namespace millrace {

/// A data directory that this process owns alone while the object lives (an advisory lock on
/// DIR/LOCK).
class DataDir {
 public:
  /// Makes the directory if needed. kConflict: another process has it; kInvalidArgument: it cannot
  /// be made or written.
  static Result<std::unique_ptr<DataDir>> Open(const std::string& path);
  ~DataDir();

  /// Absolute.
  const std::string& path() const { return path_; }

 private:
  DataDir(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::string path_;
  int lock_;
};

}  // namespace millrace
