#include "millrace/objectstore/object_key.h"

#include "millrace/base/facts.h"

namespace millrace {

Status CheckObjectKey(std::string_view key) {
  const auto bad = [&](const char* why) {
    return InvalidArgument("not an object key: " + std::string(why), {{"key", key.substr(0, 256)}});
  };
  constexpr size_t kMaxKeyBytes = 1024;
  if (key.size() > kMaxKeyBytes) return bad("longer than 1024 bytes");
  for (const char c : key)
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) return bad("it has a control character");
  std::string_view rest = key;
  for (;;) {
    const size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part.empty()) return bad("it has an empty part");
    if (part.front() == '.') return bad("a part begins with a dot");
    if (slash == rest.npos) return {};
    rest.remove_prefix(slash + 1);
  }
}

Status CheckObjectPrefix(std::string_view prefix) {
  if (prefix.empty()) return {};
  if (prefix.back() == '/') prefix.remove_suffix(1);
  return CheckObjectKey(prefix);
}

Status CheckObjectFolder(std::string_view folder) {
  if (!folder.empty() && folder.back() != '/')
    return InvalidArgument("a folder of objects ends in /", {{"folder", folder}});
  return CheckObjectPrefix(folder);
}

}  // namespace millrace
