#include "millrace/base/result.h"

#include "millrace/base/check.h"

namespace millrace {

std::string_view CodeName(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return "invalid_argument";
    case Code::kNotFound:
      return "not_found";
    case Code::kConflict:
      return "conflict";
    case Code::kFenced:
      return "fenced";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kResourceExhausted:
      return "resource_exhausted";
    case Code::kCorruption:
      return "corruption";
    case Code::kInternal:
      return "internal";
  }
  return "unknown";
}

std::string Error::ToString() const { return std::string(CodeName(code)) + ": " + message; }

void FailResultAccess(const Error* error) {
  throw InvariantViolation(error ? "value() of an error: " + error->ToString()
                                 : std::string("error() of a value"));
}

void FailCheck(const char* file, int line, const char* condition, const std::string& what) {
  std::string_view path(file);
  if (auto at = path.find("libs/"); at != path.npos) path.remove_prefix(at);
  throw InvariantViolation(what + " check=\"" + condition + "\" at=" + std::string(path) + ":" +
                           std::to_string(line));
}

}  // namespace millrace
