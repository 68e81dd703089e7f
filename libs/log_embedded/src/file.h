#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "millrace/base/result.h"

namespace millrace::log_embedded {

/// An open file, closed with the object. Threads: reads any; the rest one at a time.
class File {
 public:
  enum class Mode { kRead, kCreate, kAppend };

  /// kNotFound: the file is not there. kCreate begins an empty file, also over another.
  static Result<std::shared_ptr<File>> Open(const std::string& path, Mode mode);
  File(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~File();
  File(const File&) = delete;

  const std::string& path() const { return path_; }
  Result<uint64_t> Size() const;
  /// Reads up to `n` bytes and gives how many there were: fewer only at the file's end.
  Result<size_t> Read(uint64_t position, char* to, size_t n) const;
  Status Write(uint64_t position, std::string_view bytes);
  /// Makes what was written durable, and the size with it.
  Status Sync();
  Status Truncate(uint64_t size);

 private:
  const int fd_;
  const std::string path_;
};

/// Makes names that were created, replaced or removed in a directory durable.
Status SyncDirectory(const std::string& directory);

/// Replaces a file as a whole: after a crash it holds the old bytes or the new ones.
Status ReplaceFile(const std::string& directory, const std::string& name, std::string_view bytes);

}  // namespace millrace::log_embedded
