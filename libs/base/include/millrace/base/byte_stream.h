#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "millrace/base/bytes.h"
#include "millrace/base/result.h"

namespace millrace {

/// Bytes that are read from front to end, a piece at a time, because they may be too many to hold.
/// Every call may block, so it is made where an Offload runs. Threads: one at a time.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// The next bytes, at most `limit`; none at the end.
  virtual Result<std::string> Read(size_t limit) = 0;
};

/// Bytes that are in memory.
class BufferSource : public ByteSource {
 public:
  explicit BufferSource(Buffer data) : data_(std::move(data)), left_(data_.bytes) {}

  Result<std::string> Read(size_t limit) override {
    std::string piece(left_.substr(0, limit));
    left_.remove_prefix(piece.size());
    return piece;
  }

 private:
  const Buffer data_;
  std::string_view left_;
};

/// Where such bytes go.
class ByteSink {
 public:
  virtual ~ByteSink() = default;

  virtual Status Write(std::string_view bytes) = 0;
  /// All have been written. kCorruption: they are not those that were expected here.
  virtual Status Finish() = 0;
};

/// How many bytes are read from a source at a time.
inline constexpr size_t kStreamPiece = 1 << 20;

}  // namespace millrace
