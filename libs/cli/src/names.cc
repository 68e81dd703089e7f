#include <array>
#include <string>

#include "millrace/base/facts.h"
#include "millrace/cli/commands.h"

namespace millrace::cli {

QualifiedName QualifiedName::Parse(std::string_view text) {
  const size_t dot = text.find('.');
  if (dot == std::string_view::npos) return {"default", std::string(text)};
  return {std::string(text.substr(0, dot)), std::string(text.substr(dot + 1))};
}

std::string QualifiedName::ToString() const {
  return name_space == "default" ? name : name_space + "." + name;
}

Result<Micros> ParseTimeArgument(std::string_view text, std::string_view or_else) {
  constexpr size_t kDateLength = 10;
  const auto time = ParseTimestamp(text.size() == kDateLength ? std::string(text) + "T00:00:00Z"
                                                              : std::string(text));
  if (time.ok()) return time;
  return InvalidArgument(
      "not a time: write it as 2001-01-31T12:00:00Z, or 2001-01-31 for its midnight (UTC)" +
          std::string(or_else),
      {{"time", text}});
}

std::string FormatDuration(Micros duration) {
  struct Unit {
    Micros size;
    const char* name;
  };
  static constexpr std::array<Unit, 6> kUnits{{{kDay, "day"},
                                               {3'600 * kSecond, "hour"},
                                               {60 * kSecond, "minute"},
                                               {kSecond, "second"},
                                               {1'000, "millisecond"},
                                               {1, "microsecond"}}};
  if (duration == 0) return "0";
  std::string out = duration < 0 ? "-" : "";
  Micros rest = duration < 0 ? -duration : duration;
  for (const Unit& unit : kUnits) {
    const Micros n = rest / unit.size;
    rest %= unit.size;
    if (n == 0) continue;
    if (out.size() > 1) out += ' ';
    out += std::to_string(n) + ' ' + unit.name + (n == 1 ? "" : "s");
  }
  return out;
}

}  // namespace millrace::cli
