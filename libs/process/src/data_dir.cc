#include "millrace/process/data_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "millrace/base/facts.h"
#include "millrace/base/system_error.h"

namespace millrace::process {
namespace {

constexpr size_t kLineBytes = 17;

/// What a lock file names; 0: nothing that can be read.
uint64_t InstanceIn(int lock) {
  std::array<char, kLineBytes> line;
  if (::pread(lock, line.data(), line.size(), 0) != static_cast<ssize_t>(kLineBytes)) return 0;
  uint64_t instance = 0;
  const char* const end = line.data() + kLineBytes - 1;
  const auto [stop, error] = std::from_chars(line.data(), end, instance, 16);
  return error == std::errc() && stop == end && *end == '\n' ? instance : 0;
}

}  // namespace

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
  return std::unique_ptr<DataDir>(new DataDir(absolute, lock, InstanceIn(lock)));
}

Status DataDir::NameInstance(uint64_t instance) {
  std::array<char, kLineBytes + 1> line;
  std::snprintf(line.data(), line.size(), "%016" PRIx64 "\n", instance);
  if (::pwrite(lock_, line.data(), kLineBytes, 0) != static_cast<ssize_t>(kLineBytes) ||
      ::ftruncate(lock_, kLineBytes) != 0 || ::fdatasync(lock_) != 0)
    return Unavailable(
        "the lock file of --data-dir cannot be written: " + std::string(std::strerror(errno)),
        {{"data_dir", path_}});
  return {};
}

DataDir::~DataDir() { ::close(lock_); }

}  // namespace millrace::process
