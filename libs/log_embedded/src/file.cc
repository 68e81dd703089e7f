#include "file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "millrace/base/facts.h"
#include "millrace/base/system_error.h"

namespace millrace::log_embedded {

Result<std::shared_ptr<File>> File::Open(const std::string& path, Mode mode) {
  const int flags = mode == Mode::kRead     ? O_RDONLY
                    : mode == Mode::kCreate ? O_RDWR | O_CREAT | O_TRUNC
                                            : O_RDWR;
  const int fd = open(path.c_str(), flags | O_CLOEXEC, 0644);
  if (fd >= 0) return std::make_shared<File>(fd, path);
  if (errno == ENOENT) return NotFound("a file is missing", {{"path", path}});
  return SystemError("a file cannot be opened", errno, path);
}

File::~File() { close(fd_); }

Result<uint64_t> File::Size() const {
  struct stat s;
  if (fstat(fd_, &s) != 0) return SystemError("a file's size cannot be read", errno, path_);
  return static_cast<uint64_t>(s.st_size);
}

Result<size_t> File::Read(uint64_t position, char* to, size_t n) const {
  size_t done = 0;
  while (done < n) {
    const ssize_t r = pread(fd_, to + done, n - done, static_cast<off_t>(position + done));
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return SystemError("a file cannot be read", errno, path_);
    if (r == 0) break;
    done += static_cast<size_t>(r);
  }
  return done;
}

Status File::Write(uint64_t position, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t w = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(position));
    if (w < 0 && errno == EINTR) continue;
    if (w <= 0) return SystemError("a file cannot be written", w < 0 ? errno : EIO, path_);
    bytes.remove_prefix(static_cast<size_t>(w));
    position += static_cast<uint64_t>(w);
  }
  return {};
}

Status File::Sync() {
  if (fdatasync(fd_) == 0) return {};
  return SystemError("a file cannot be made durable", errno, path_);
}

Status File::Truncate(uint64_t size) {
  if (ftruncate(fd_, static_cast<off_t>(size)) == 0) return {};
  return SystemError("a file cannot be cut", errno, path_);
}

Status SyncDirectory(const std::string& directory) {
  const int fd = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return SystemError("a directory cannot be opened", errno, directory);
  const int result = fsync(fd);
  const int error = errno;
  close(fd);
  if (result != 0) return SystemError("a directory cannot be made durable", error, directory);
  return {};
}

Status ReplaceFile(const std::string& directory, const std::string& name, std::string_view bytes) {
  const std::string path = directory + "/" + name;
  const std::string fresh = path + ".new";
  {
    MILLRACE_ASSIGN(const auto file, File::Open(fresh, File::Mode::kCreate));
    MILLRACE_TRY(file->Write(0, bytes));
    MILLRACE_TRY(file->Sync());
  }
  if (rename(fresh.c_str(), path.c_str()) != 0)
    return SystemError("a file cannot be replaced", errno, path);
  return SyncDirectory(directory);
}

}  // namespace millrace::log_embedded
