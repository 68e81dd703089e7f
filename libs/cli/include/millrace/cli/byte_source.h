#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "millrace/base/result.h"

namespace millrace::cli {

/// Bytes, one after another.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  /// Up to `size` bytes to `to`; 0 only at the end.
  virtual Result<size_t> Read(char* to, size_t size) = 0;
};

/// A file, or standard input ("-"). Names that end in .zst or .gz are decompressed while read;
/// what is cut short or damaged is kCorruption. Threads: one; consumed() from any.
class Input : public ByteSource {
 public:
  /// kNotFound, or kInternal with the system's reason.
  static Result<std::unique_ptr<Input>> Open(const std::string& path);
  ~Input() override;

  /// Whether the bytes can be read twice: an ordinary file, no pipe.
  bool repeatable() const { return repeatable_; }
  /// Reads the whole file as it is now and gives the SHA-256 of its content, decompressed; Read()
  /// then begins again and ends where it ended. So damage and a missing end are found here. Only if
  /// repeatable(), before the first Read().
  Result<std::string> Digest();
  /// kConflict: the file was written to since Digest().
  Status CheckUnchanged() const;

  Result<size_t> Read(char* to, size_t size) override;

  /// The name without the extension of a compression: "flights.csv" of "/data/flights.csv.zst".
  const std::string& content_name() const { return content_name_; }
  /// Bytes of the file, -1 if that is not known, and how many of them were read.
  int64_t size() const { return size_; }
  int64_t consumed() const { return consumed_.load(std::memory_order_relaxed); }

 private:
  class Raw;

  Input() = default;
  Result<size_t> ReadRaw(char* to, size_t size);
  void Begin();

  std::string path_;
  std::string compression_;  ///< ".zst", ".gz" or empty
  std::string content_name_;
  int fd_ = -1;
  bool repeatable_ = false;
  int64_t size_ = -1;
  int64_t modified_ns_ = 0;
  std::atomic<int64_t> consumed_{0};
  std::unique_ptr<Raw> raw_;
  std::unique_ptr<ByteSource> decompressed_;  ///< null: the file is as it is
};

/// `source` (not owned; must outlive it) decompressed; all frames or members of it.
std::unique_ptr<ByteSource> DecompressZstd(ByteSource* source, std::string name);
std::unique_ptr<ByteSource> DecompressGzip(ByteSource* source, std::string name);

/// A window on a source that slides over it. Bounded: grows up to `kMaxRecordBytes` only.
class ReadBuffer {
 public:
  static constexpr size_t kMaxRecordBytes = 4 << 20;

  explicit ReadBuffer(ByteSource* source);

  char* begin() { return data_.data() + begin_; }
  char* end() { return data_.data() + end_; }
  bool at_end() const { return at_end_; }  ///< nothing comes after end()
  void Consume(const char* up_to) { begin_ = static_cast<size_t>(up_to - data_.data()); }
  /// Reads on; begin() and end() move. False: the window is full.
  Result<bool> More();
  /// At the beginning: as editors and spreadsheets of one system write it before UTF-8.
  Status SkipByteOrderMark();

 private:
  ByteSource* source_;
  std::string data_;
  size_t begin_ = 0;
  size_t end_ = 0;
  bool at_end_ = false;
};

}  // namespace millrace::cli
