#include "millrace/control/settings.h"

#include <charconv>

namespace millrace::control {
namespace {

constexpr int64_t kMostExpected = 1'000;

/// `on` or `off`, of which one is the default.
std::optional<std::string> SwitchValue(std::string_view value, std::string_view default_value) {
  if (value.empty() || value == default_value) return std::string();
  if (value != "on" && value != "off") return std::nullopt;
  return std::string(value);
}

std::optional<std::string> ExpectedValue(std::string_view value) {
  if (value.empty() || value == "0") return std::string();
  int64_t n = 0;
  const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), n);
  if (error != std::errc() || stop != value.data() + value.size() || n < 1 || n > kMostExpected)
    return std::nullopt;
  return std::to_string(n);
}

std::string ValueOf(const Fold& fold, const Incarnation& what, std::string_view key) {
  const auto& settings = fold.SettingsOf(what);
  const auto at = settings.find(std::string(key));
  return at == settings.end() ? std::string() : at->second;
}

}  // namespace

Incarnation TheCluster() { return {"", "", Offset(0)}; }

std::optional<std::string> SettingValue(bool of_view, std::string_view key,
                                        std::string_view value) {
  if (of_view) return key == kPaused ? SwitchValue(value, "off") : std::nullopt;
  if (key == kBalance) return SwitchValue(value, "on");
  return key == kExpectedWorkers ? ExpectedValue(value) : std::nullopt;
}

bool IsPaused(const Fold& fold, const Incarnation& view) {
  return ValueOf(fold, view, kPaused) == "on";
}

bool MayBalance(const Fold& fold) { return ValueOf(fold, TheCluster(), kBalance) != "off"; }

int64_t ExpectedWorkers(const Fold& fold) {
  const std::string value = ValueOf(fold, TheCluster(), kExpectedWorkers);
  return value.empty() ? 0 : std::stoll(value);
}

}  // namespace millrace::control
