#include "millrace/cli/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "millrace/base/facts.h"
#include "millrace/base/sha256.h"

namespace millrace::cli {
namespace {

constexpr size_t kFirstWindow = 256 << 10;
constexpr size_t kDigestPiece = 1 << 20;

Error SystemError(const std::string& what, const std::string& path) {
  const int reason = errno;
  return {reason == ENOENT ? Code::kNotFound : Code::kInternal,
          what + ": " + std::strerror(reason) + " file=" + path};
}

int64_t ModifiedNs(const struct stat& s) {
  return int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec;
}

}  // namespace

class Input::Raw : public ByteSource {
 public:
  explicit Raw(Input* input) : input_(input) {}
  Result<size_t> Read(char* to, size_t size) override { return input_->ReadRaw(to, size); }

 private:
  Input* input_;
};

Result<std::unique_ptr<Input>> Input::Open(const std::string& path) {
  std::unique_ptr<Input> input(new Input());
  input->path_ = path == "-" ? "standard input" : path;
  input->fd_ = path == "-" ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (input->fd_ < 0) return SystemError("cannot open the input", input->path_);
  struct stat s{};
  if (fstat(input->fd_, &s) != 0) return SystemError("cannot read the input", input->path_);
  if (S_ISDIR(s.st_mode)) {
    errno = EISDIR;
    return SystemError("cannot read the input", input->path_);
  }
  input->repeatable_ = path != "-" && S_ISREG(s.st_mode);
  if (input->repeatable_) input->size_ = s.st_size;

  std::string_view name = path;
  name = name.substr(name.rfind('/') + 1);
  for (const std::string_view ending : {".zst", ".gz"}) {
    if (!name.ends_with(ending)) continue;
    input->compression_ = ending;
    name.remove_suffix(ending.size());
    break;
  }
  input->content_name_ = name;
  input->Begin();
  return input;
}

void Input::Begin() {
  consumed_ = 0;
  raw_ = std::make_unique<Raw>(this);
  if (compression_ == ".zst") decompressed_ = DecompressZstd(raw_.get(), path_);
  if (compression_ == ".gz") decompressed_ = DecompressGzip(raw_.get(), path_);
}

Input::~Input() {
  if (fd_ >= 0) close(fd_);
}

Result<std::string> Input::Digest() {
  struct stat s{};
  if (fstat(fd_, &s) != 0) return SystemError("cannot read the input", path_);
  size_ = s.st_size;
  modified_ns_ = ModifiedNs(s);
  Sha256 digest;
  std::string piece(kDigestPiece, '\0');
  for (;;) {
    MILLRACE_ASSIGN(const size_t n, Read(piece.data(), piece.size()));
    if (n == 0) break;
    digest.Add({piece.data(), n});
  }
  if (lseek(fd_, 0, SEEK_SET) != 0) return SystemError("cannot read the input", path_);
  Begin();
  return digest.HexDigest();
}

Status Input::CheckUnchanged() const {
  struct stat s{};
  if (fstat(fd_, &s) != 0) return SystemError("cannot read the input", path_);
  if (s.st_size == size_ && ModifiedNs(s) == modified_ns_) return {};
  return Conflict(
      "the file was written to while it was read, so what was sent may be neither its old nor its "
      "new content; send a copy that nobody writes to, under another --producer-id",
      {{"file", path_}});
}

Result<size_t> Input::Read(char* to, size_t size) {
  return decompressed_ ? decompressed_->Read(to, size) : ReadRaw(to, size);
}

Result<size_t> Input::ReadRaw(char* to, size_t size) {
  if (repeatable_)
    size = std::min(size, static_cast<size_t>(std::max<int64_t>(0, size_ - consumed())));
  if (size == 0) return size_t{0};
  for (;;) {
    const ssize_t n = read(fd_, to, size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError("cannot read the input", path_);
    consumed_.fetch_add(n, std::memory_order_relaxed);
    return static_cast<size_t>(n);
  }
}

ReadBuffer::ReadBuffer(ByteSource* source) : source_(source), data_(kFirstWindow, '\0') {}

Status ReadBuffer::SkipByteOrderMark() {
  constexpr std::string_view kMark = "\xef\xbb\xbf";
  while (!at_end_ && end_ - begin_ < kMark.size()) {
    MILLRACE_ASSIGN(const bool more, More());
    if (!more) break;
  }
  if (std::string_view(begin(), end()).starts_with(kMark)) Consume(begin() + kMark.size());
  return {};
}

Result<bool> ReadBuffer::More() {
  if (begin_ > 0) {
    std::memmove(data_.data(), data_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == data_.size()) {
    if (data_.size() >= kMaxRecordBytes) return false;
    data_.resize(std::min(data_.size() * 2, kMaxRecordBytes));
  }
  MILLRACE_ASSIGN(const size_t n, source_->Read(data_.data() + end_, data_.size() - end_));
  end_ += n;
  at_end_ = n == 0;
  return true;
}

}  // namespace millrace::cli
