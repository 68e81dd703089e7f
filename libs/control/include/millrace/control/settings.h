#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "millrace/control/fold.h"

namespace millrace::control {

/// Settings that a Set record gives a view, a partition of a stream or the cluster. No result
/// depends on one. What a stream keeps is in retention.h.

/// What the settings of the cluster belong to in Set records and in the fold.
Incarnation TheCluster();

/// Of a view: `on`: its shards stay open and read nothing.
inline constexpr std::string_view kPaused = "paused";
/// Of the cluster: `off`: no shard moves for balance.
inline constexpr std::string_view kBalance = "balance";
/// Of the cluster, a number up to 1,000: while no shard has an owner that lives, so many workers
/// are waited for.
inline constexpr std::string_view kExpectedWorkers = "expected_workers";

/// A setting of the cluster. While it is `on`, one worker beside the owner follows each shard.
inline constexpr std::string_view kFollowers = "followers";
/// Of a stream, with the number of a partition behind it: the name of the worker that is to own the
/// shards on that partition.
inline constexpr std::string_view kPin = "pin.";
inline constexpr size_t kLongestWorkerName = 200;

/// The value as a Set record has it: what is as if it was never set is empty. Nothing: a view (or
/// else the cluster) has no such setting, or the setting no such value.
std::optional<std::string> SettingValue(bool of_view, std::string_view key, std::string_view value);

/// The partition that a key of a stream pins; nothing: it is no such key.
std::optional<PartitionId> PinnedPartition(std::string_view key);
std::string PinOf(PartitionId partition);
/// A stream of so many partitions has such a setting, and the setting such a value.
bool IsPinSetting(std::string_view key, std::string_view value, int32_t partitions);

bool IsPaused(const Fold& fold, const Incarnation& view);
bool MayBalance(const Fold& fold);
bool KeepsFollowers(const Fold& fold);
/// The name of a worker; empty: any may own the shards on the partition.
std::string PinnedTo(const Fold& fold, const Incarnation& stream, PartitionId partition);
/// 0: none are expected.
int64_t ExpectedWorkers(const Fold& fold);

}  // namespace millrace::control
