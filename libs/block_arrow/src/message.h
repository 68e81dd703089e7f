#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace millrace::block_arrow {

/// What the metadata of an encapsulated RecordBatch message says, bounds checked but not yet
/// believed: `nodes` and `buffers` are arrays of pairs of int64 inside the metadata.
struct BatchMessage {
  int64_t rows = 0;
  std::string_view nodes;    ///< (length, null count)
  std::string_view buffers;  ///< (offset, length), offsets from the start of `body`
  std::string_view body;

  size_t node_count() const { return nodes.size() / 16; }
  size_t buffer_count() const { return buffers.size() / 16; }
  std::array<int64_t, 2> Node(size_t i) const;
  std::array<int64_t, 2> Buffer(size_t i) const;
};

/// Reads an Arrow IPC message (Arrow columnar format, "Encapsulated message format"; the metadata
/// is a FlatBuffer). nullptr: read; otherwise what is wrong with it.
const char* ReadBatchMessage(std::string_view message, BatchMessage* out);

}  // namespace millrace::block_arrow
