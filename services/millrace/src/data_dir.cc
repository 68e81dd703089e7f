#include "data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "millrace/base/facts.h"
#include "millrace/base/system_error.h"

namespace millrace {

Result<std::unique_ptr<DataDir>> DataDir::Open(const std::string& path) {
  std::error_code error;
  const std::string absolute = std::filesystem::absolute(path, error).lexically_normal().string();
  std::filesystem::create_directories(absolute, error);
  if (error && MayPass(error.value()))
    return SystemError("--data-dir cannot be made", error.value(), absolute);
  if (error) {
    return InvalidArgument("--data-dir cannot be made: " + error.message() +
                               "; name a directory that this user may write",
                           {{"data_dir", absolute}});
  }
  const std::string lock_path = absolute + "/LOCK";
  const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock < 0 && MayPass(errno))
    return SystemError("--data-dir cannot be written", errno, absolute);
  if (lock < 0) {
    return InvalidArgument("--data-dir cannot be written: " + std::string(std::strerror(errno)) +
                               "; name a directory that this user may write",
                           {{"data_dir", absolute}});
  }
  if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
    ::close(lock);
    return Conflict(
        "--data-dir is in use by another millrace process; stop that one or name another directory",
        {{"data_dir", absolute}});
  }
  return std::unique_ptr<DataDir>(new DataDir(absolute, lock));
}

DataDir::~DataDir() { ::close(lock_); }

}  // namespace millrace
