#include "directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "millrace/base/facts.h"
#include "millrace/base/system_error.h"

namespace millrace::log_embedded {
namespace {

constexpr char kLockFile[] = "/LOCK.millrace";

Error DirectoryError(int error, const std::string& directory, const char* what) {
  if (MayPass(error)) return SystemError(what, error, directory);
  return InvalidArgument(std::string(what) + ": choose a directory that this user can write",
                         {{"directory", directory}, {"error", std::strerror(error)}});
}

}  // namespace

Result<int> LockDirectory(const std::string& directory) {
  std::error_code made;
  std::filesystem::create_directories(directory, made);
  if (made) return DirectoryError(made.value(), directory, "cannot make the log's directory");
  const int fd = open((directory + kLockFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return DirectoryError(errno, directory, "cannot write the log's directory");
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char owner[32] = {};
    const ssize_t n = pread(fd, owner, sizeof owner - 1, 0);
    close(fd);
    return Conflict(
        "the log's directory is in use by another process: stop it or choose another directory",
        {{"directory", directory},
         {"pid", std::string(owner, n > 0 ? static_cast<size_t>(n) : 0)}});
  }
  const std::string pid = std::to_string(getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    const int error = errno;
    close(fd);
    return DirectoryError(error, directory, "cannot write the log's directory");
  }
  return fd;
}

}  // namespace millrace::log_embedded
