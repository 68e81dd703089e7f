#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <climits>

#include "millrace/cli/byte_source.h"

#include "millrace/base/facts.h"

namespace millrace::cli {
namespace {

constexpr size_t kPiece = 128 << 10;

Error Damaged(const std::string& name, const std::string& why) {
  return Corruption(
      "cannot decompress the input: " + why + "; is the file complete, and what its name says?",
      {{"file", name}});
}

class ZstdSource : public ByteSource {
 public:
  ZstdSource(ByteSource* source, std::string name)
      : source_(source), name_(std::move(name)), stream_(ZSTD_createDStream()) {}
  ~ZstdSource() override { ZSTD_freeDStream(stream_); }

  Result<size_t> Read(char* to, size_t size) override {
    if (size == 0) return size_t{0};
    for (;;) {
      if (in_.pos == in_.size && !ended_) {
        MILLRACE_ASSIGN(const size_t n, source_->Read(piece_.data(), piece_.size()));
        ended_ = n == 0;
        in_ = {piece_.data(), n, 0};
      }
      // Called even without input: the decoder may hold output back.
      ZSTD_outBuffer out{to, size, 0};
      if (!(ended_ && between_frames_)) {
        const size_t wanted = ZSTD_decompressStream(stream_, &out, &in_);
        if (ZSTD_isError(wanted) != 0) return Damaged(name_, ZSTD_getErrorName(wanted));
        between_frames_ = wanted == 0;
      }
      if (out.pos > 0) return out.pos;
      if (ended_ && between_frames_) return size_t{0};
      if (ended_) return Damaged(name_, "it ends too early");
    }
  }

 private:
  ByteSource* source_;
  std::string name_;
  ZSTD_DStream* stream_;
  std::string piece_ = std::string(kPiece, '\0');
  ZSTD_inBuffer in_{nullptr, 0, 0};
  bool ended_ = false;
  bool between_frames_ = false;  ///< not at the beginning: an empty file lacks its first frame
};

class GzipSource : public ByteSource {
 public:
  GzipSource(ByteSource* source, std::string name) : source_(source), name_(std::move(name)) {
    constexpr int kGzipOnly = 16;
    ready_ = inflateInit2(&stream_, MAX_WBITS + kGzipOnly) == Z_OK;
  }
  ~GzipSource() override {
    if (ready_) inflateEnd(&stream_);
  }

  Result<size_t> Read(char* to, size_t size) override {
    if (!ready_) return Internal("zlib does not start", {{"file", name_}});
    if (size == 0) return size_t{0};
    const auto room = static_cast<uInt>(std::min<size_t>(size, UINT_MAX));
    stream_.next_out = reinterpret_cast<Bytef*>(to);
    stream_.avail_out = room;
    while (stream_.avail_out == room) {
      if (stream_.avail_in == 0 && !ended_) {
        MILLRACE_ASSIGN(const size_t n, source_->Read(piece_.data(), piece_.size()));
        ended_ = n == 0;
        stream_.next_in = reinterpret_cast<Bytef*>(piece_.data());
        stream_.avail_in = static_cast<uInt>(n);
      }
      if (stream_.avail_in == 0 && between_members_) return size_t{0};
      between_members_ = false;
      const int outcome = inflate(&stream_, Z_NO_FLUSH);
      if (outcome == Z_STREAM_END) {
        between_members_ = true;
        inflateReset(&stream_);
      } else if (outcome == Z_BUF_ERROR && ended_) {
        return Damaged(name_, "it ends too early");
      } else if (outcome != Z_OK && outcome != Z_BUF_ERROR) {
        return Damaged(name_, stream_.msg != nullptr ? stream_.msg : "not gzip");
      }
    }
    return size_t{room - stream_.avail_out};
  }

 private:
  ByteSource* source_;
  std::string name_;
  z_stream stream_{};
  bool ready_ = false;
  std::string piece_ = std::string(kPiece, '\0');
  bool ended_ = false;
  bool between_members_ = false;  ///< not at the beginning: an empty file lacks its first member
};

}  // namespace

std::unique_ptr<ByteSource> DecompressZstd(ByteSource* source, std::string name) {
  return std::make_unique<ZstdSource>(source, std::move(name));
}

std::unique_ptr<ByteSource> DecompressGzip(ByteSource* source, std::string name) {
  return std::make_unique<GzipSource>(source, std::move(name));
}

}  // namespace millrace::cli
