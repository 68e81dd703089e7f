#include "millrace/control/settings.h"

#include <charconv>
#include <limits>

namespace millrace::control {
namespace {

constexpr int64_t kMostExpected = 1'000;

/// `on` or `off`, of which one is the default.
std::optional<std::string> SwitchValue(std::string_view value, std::string_view default_value) {
  if (value.empty() || value == default_value) return std::string();
  if (value != "on" && value != "off") return std::nullopt;
  return std::string(value);
}

std::optional<int64_t> Number(std::string_view text) {
  int64_t n = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return n;
}

std::optional<std::string> ExpectedValue(std::string_view value) {
  if (value.empty() || value == "0") return std::string();
  const std::optional<int64_t> n = Number(value);
  if (!n || *n < 1 || *n > kMostExpected) return std::nullopt;
  return std::to_string(*n);
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
  if (key == kFollowers) return SwitchValue(value, "off");
  return key == kExpectedWorkers ? ExpectedValue(value) : std::nullopt;
}

std::string PinOf(PartitionId partition) {
  return std::string(kPin) + std::to_string(partition.value);
}

std::optional<PartitionId> PinnedPartition(std::string_view key) {
  if (!key.starts_with(kPin)) return std::nullopt;
  const std::optional<int64_t> n = Number(key.substr(kPin.size()));
  if (!n || *n < 0 || *n > std::numeric_limits<int32_t>::max()) return std::nullopt;
  const PartitionId partition(static_cast<int32_t>(*n));
  // As it is written, so that equal settings are equal bytes.
  if (PinOf(partition) != key) return std::nullopt;
  return partition;
}

bool IsPinSetting(std::string_view key, std::string_view value, int32_t partitions) {
  const std::optional<PartitionId> partition = PinnedPartition(key);
  return partition && partition->value < partitions && value.size() <= kLongestWorkerName;
}

bool IsPaused(const Fold& fold, const Incarnation& view) {
  return ValueOf(fold, view, kPaused) == "on";
}

bool MayBalance(const Fold& fold) { return ValueOf(fold, TheCluster(), kBalance) != "off"; }

bool KeepsFollowers(const Fold& fold) { return ValueOf(fold, TheCluster(), kFollowers) == "on"; }

std::string PinnedTo(const Fold& fold, const Incarnation& stream, PartitionId partition) {
  return ValueOf(fold, stream, PinOf(partition));
}

int64_t ExpectedWorkers(const Fold& fold) {
  const std::string value = ValueOf(fold, TheCluster(), kExpectedWorkers);
  return value.empty() ? 0 : std::stoll(value);
}

}  // namespace millrace::control
