#include "millrace/process/notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "millrace/base/log.h"

namespace millrace::process {

void NotifyManager(const std::string& what) {
  const char* const path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || *path == '\0') return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  int sent = -1;
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket >= 0 && length < sizeof(address.sun_path)) {
    std::memcpy(address.sun_path, path, length);
    // An abstract name begins with a zero byte and is written with @.
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    sent = static_cast<int>(::sendto(
        socket, what.data(), what.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length)));
  }
  if (sent < 0)
    LogWarn("the service manager cannot be told what this process is at",
            {{"socket", path}, {"error", std::strerror(errno)}});
  if (socket >= 0) ::close(socket);
}

}  // namespace millrace::process
