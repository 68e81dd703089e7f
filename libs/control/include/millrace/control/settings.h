#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "millrace/control/fold.h"

namespace millrace::control {

/// Settings that a Set record gives a view or the cluster. No result depends on one. Those of
/// streams are in retention.h.

/// What the settings of the cluster belong to in Set records and in the fold.
Incarnation TheCluster();

/// Of a view: `on`: its shards stay open and read nothing.
inline constexpr std::string_view kPaused = "paused";
/// Of the cluster: `off`: no shard moves for balance.
inline constexpr std::string_view kBalance = "balance";
/// Of the cluster, a number up to 1,000: while no shard has an owner that lives, so many workers
/// are waited for.
inline constexpr std::string_view kExpectedWorkers = "expected_workers";

/// The value as a Set record has it: what is as if it was never set is empty. Nothing: a view (or
/// else the cluster) has no such setting, or the setting no such value.
std::optional<std::string> SettingValue(bool of_view, std::string_view key, std::string_view value);

bool IsPaused(const Fold& fold, const Incarnation& view);
bool MayBalance(const Fold& fold);
/// 0: none are expected.
int64_t ExpectedWorkers(const Fold& fold);

}  // namespace millrace::control
