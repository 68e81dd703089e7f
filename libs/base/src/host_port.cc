#include "millrace/base/host_port.h"

#include <algorithm>

#include <charconv>

#include "millrace/base/facts.h"

namespace millrace {

std::string HostPort::ToString() const {
  const bool bracketed = host.find(':') != std::string::npos;
  return (bracketed ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<HostPort> ParseHostPort(std::string_view text) {
  const auto bad = [&](const char* why) {
    return InvalidArgument("not an address: " + std::string(why) +
                               "; write HOST:PORT, such as 127.0.0.1:7171 or [::1]:7171",
                           {{"address", text}});
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad("it has no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad("an IPv6 address needs brackets");
  }
  if (host.empty()) return bad("it has no host");
  HostPort out{std::string(host), 0};
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc() || end != port.data() + port.size())
    return bad("the port is not a number from 0 to 65535");
  return out;
}

Result<std::vector<std::string>> ParseHostPorts(std::string_view text) {
  std::vector<std::string> out;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    std::string_view one = text.substr(at, comma - at);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    MILLRACE_ASSIGN(const HostPort address, ParseHostPort(one));
    out.push_back(address.ToString());
    at = comma + 1;
  }
  return out;
}

}  // namespace millrace
