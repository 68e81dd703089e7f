#pragma once

#include <string>

#include "millrace/base/bytes.h"
#include "millrace/base/result.h"
#include "millrace/model/batch.h"
#include "millrace/model/spec.h"

namespace millrace {

/// Largest block that is written or read.
inline constexpr size_t kMaxBlockBytes = 3 << 20;

/// A columnar block of events, one log record (docs/formats/block.md). Pure; threads: any.
class BlockCodec {
 public:
  virtual ~BlockCodec() = default;

  /// Encodes a batch without defects that has one record. kInvalidArgument: past kMaxBlockBytes.
  virtual Result<std::string> Encode(const StreamSpec& stream, const EventBatch& batch) const = 0;

  /// Checks everything about `value` that comes from outside and gives a batch of one record that
  /// views it where it can. kCorruption: it is not a valid block of this stream; the message says
  /// what is wrong.
  virtual Result<EventBatch> Decode(const StreamSpec& stream, Buffer value, Offset offset,
                                    Micros append_time) const = 0;
};

}  // namespace millrace
