#pragma once

#include <cstdint>
#include <string>

#include "millrace/base/strong.h"

namespace millrace {

/// Position of a record in a partition; the first is 0.
using Offset = Strong<struct OffsetTag>;
using PartitionId = Strong<struct PartitionTag, int32_t>;
/// Number of an owner of a shard: rises by one with each Assign or Skip.
using Epoch = Strong<struct EpochTag>;
/// Number of a valid commit of a shard: 1, 2, ...
using CutNumber = Strong<struct CutTag>;

/// A pipeline's identity: its name and the control-log offset of its Define record. Names come
/// back, incarnations do not.
struct Incarnation {
  std::string name_space = "default";
  std::string name;
  Offset defined_at;

  friend auto operator<=>(const Incarnation&, const Incarnation&) = default;
  /// "default/delays_hourly@17"
  std::string ToString() const;
};

/// One stage of one incarnation on one partition: the unit of state, ownership, failure and
/// movement.
struct ShardId {
  Incarnation incarnation;
  PartitionId partition;

  friend auto operator<=>(const ShardId&, const ShardId&) = default;
  /// "default/delays_hourly@17/p2"
  std::string ToString() const;
  static bool Parse(std::string_view text, ShardId* out);
};

/// The columns of one stream at one time: which stream, told from an earlier one of its name, and
/// which of its schemas.
struct SchemaIdentity {
  Offset generation;  ///< of the stream
  int32_t schema_id = 1;

  friend bool operator==(const SchemaIdentity&, const SchemaIdentity&) = default;
};

/// Who sends: set by the gateway from credentials, "local" where there are none.
struct Principal {
  std::string name = "local";
};

}  // namespace millrace
