#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "millrace/base/result.h"

namespace millrace::process {

/// A data directory that this process owns alone while the object lives (an advisory lock on
/// DIR/LOCK). The lock file names the instance that has it, or had it last: 16 hex digits and a
/// line feed.
class DataDir {
 public:
  /// Makes the directory if needed. kConflict: another process has it; kInvalidArgument: it cannot
  /// be made or written.
  static Result<std::unique_ptr<DataDir>> Open(const std::string& path);
  ~DataDir();

  /// Absolute.
  const std::string& path() const { return path_; }
  /// The instance that had the directory before. It is dead, as this process has its lock. 0: the
  /// lock file names none.
  uint64_t predecessor() const { return predecessor_; }
  /// Names the instance of this process in the lock file, before it owns any shard. kUnavailable:
  /// the disk does not take it.
  Status NameInstance(uint64_t instance);

 private:
  DataDir(std::string path, int lock, uint64_t predecessor)
      : path_(std::move(path)), lock_(lock), predecessor_(predecessor) {}

  const std::string path_;
  const int lock_;
  const uint64_t predecessor_;
};

}  // namespace millrace::process
