#pragma once

#include <cstdint>

#include "millrace/log/log.h"

namespace millrace {

/// What a record was, so that a log that was truncated or made anew is noticed: a hash of offset,
/// append time, key and value.
struct RecordIdentity {
  Offset offset;
  uint64_t hash = 0;

  friend bool operator==(const RecordIdentity&, const RecordIdentity&) = default;
};

RecordIdentity IdentityOf(const LogRecord& record);

}  // namespace millrace
