#pragma once

#include "millrace/block/block_codec.h"

namespace millrace::block_arrow {

/// docs/formats/block.md, version 1. Keeps nothing between calls.
class ArrowBlockCodec : public BlockCodec {
 public:
  ArrowBlockCodec();

  /// Also kInvalidArgument: no rows, or a column holds more than 2^31 - 1 bytes of text.
  Result<std::string> Encode(const StreamSpec& stream, const EventBatch& batch) const override;

  /// A value that does not start at a multiple of 8 bytes is copied first.
  Result<EventBatch> Decode(const StreamSpec& stream, Buffer value, Offset offset,
                            Micros append_time) const override;
};

}  // namespace millrace::block_arrow
