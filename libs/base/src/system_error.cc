#include "millrace/base/system_error.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>

#include "millrace/base/facts.h"

namespace millrace {
namespace {

constexpr int kPassing[] = {EMFILE, ENFILE, ENOMEM, ENOSPC,  EDQUOT, EIO,      EFBIG,
                            EAGAIN, EINTR,  EBUSY,  ENOBUFS, ESTALE, ETIMEDOUT};

}  // namespace

bool MayPass(int error) {
  return std::find(std::begin(kPassing), std::end(kPassing), error) != std::end(kPassing);
}

std::string_view RemedyOf(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "the disk is full, free some space";
    case EFBIG:
      return "files may not grow so far, raise the limit (ulimit -f)";
    case EMFILE:
    case ENFILE:
      return "too many files are open, raise the limit (ulimit -n)";
    case ENOMEM:
    case ENOBUFS:
      return "there is no memory left";
    case EACCES:
    case EPERM:
    case EROFS:
      return "this user may not, check owner and rights";
    case ENOENT:
    case ENOTDIR:
      return "it is not there";
    default:
      return "the disk fails, check it";
  }
}

Error SystemError(const std::string& what, int error, const std::string& path) {
  return Unavailable(what + ": " + std::string(RemedyOf(error)),
                     {{"path", path}, {"error", std::strerror(error)}});
}

bool NamesPassingError(std::string_view message) {
  return std::any_of(std::begin(kPassing), std::end(kPassing), [&](int error) {
    return message.find(std::strerror(error)) != std::string_view::npos;
  });
}

Result<std::string> ReadWholeFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return NotFound("a file is missing", {{"path", path}});
  if (fd < 0) return SystemError("a file cannot be opened", errno, path);
  struct Closed {
    int fd;
    ~Closed() { close(fd); }
  } closed{fd};
  struct stat s;
  if (fstat(fd, &s) != 0) return SystemError("a file's size cannot be read", errno, path);
  std::string bytes(static_cast<size_t>(s.st_size), '\0');
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n = read(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError("a file cannot be read", errno, path);
    if (n == 0) return Unavailable("a file shrank while it was read", {{"path", path}});
    done += static_cast<size_t>(n);
  }
  return bytes;
}

}  // namespace millrace
