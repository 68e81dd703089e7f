#include "millrace/base/facts.h"

namespace millrace {

Error WithFacts(Code code, std::string_view what, Facts facts) {
  std::string message(what);
  const char* before = ": ";
  for (const LogField& fact : facts) {
    message.append(before).append(fact.key).append("=").append(FactText(fact.value));
    before = " ";
  }
  return {code, std::move(message)};
}

Error In(std::string_view doing, Error error) {
  error.message.insert(0, std::string(doing) + ": ");
  return error;
}

std::string FactText(std::string_view value) {
  if (!value.empty() && value.find_first_of(" \"=\n\t") == value.npos) return std::string(value);
  std::string out = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out + "\"";
}

}  // namespace millrace
