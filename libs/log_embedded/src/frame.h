#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/log/log.h"

namespace millrace::log_embedded {

/// One partition of one topic.
struct PartitionKey {
  uint32_t topic = 0;
  int32_t partition = 0;

  friend auto operator<=>(const PartitionKey&, const PartitionKey&) = default;
};

/// The head of a frame as it lies in a segment (docs/formats/log.md). It has a checksum of its own,
/// so that damage behind it costs neither its length nor its place in the log.
struct FrameHead {
  uint32_t magic = 0;
  uint32_t head_crc = 0;
  uint32_t body_crc = 0;
  uint32_t meta_bytes = 0;
  uint32_t value_bytes = 0;
  uint32_t kind = 0;
  PartitionKey key;
  int64_t offset = 0;
  Micros append_time = 0;

  static constexpr uint32_t kRecord = 1;
  static constexpr uint32_t kGroup = 2;

  uint64_t bytes() const;
};
static_assert(sizeof(FrameHead) == 48);

/// Offsets [first, first + count) of a partition, which a group appends.
struct GroupPart {
  PartitionKey key;
  int64_t first = 0;
  int64_t count = 0;
};

/// The frames of one group of appends, as they go to position `position` of segment `segment`.
class GroupWriter {
 public:
  struct Placed {
    PartitionKey key;
    int64_t offset = 0;
    Micros append_time = 0;
    uint64_t position = 0;
    uint32_t bytes = 0;
  };

  /// Everything before the group is durable.
  GroupWriter(uint64_t segment, uint64_t position, const std::vector<GroupPart>& parts);
  void Add(PartitionKey key, int64_t offset, Micros append_time, const LogEntry& entry);

  const std::string& bytes() const { return bytes_; }
  const std::vector<Placed>& placed() const { return placed_; }

 private:
  void AddFrame(FrameHead head, std::string_view meta, std::string_view value);

  const uint64_t segment_;
  const uint64_t position_;
  std::string bytes_;
  std::vector<Placed> placed_;
};

/// The head at this place; nothing if there is no whole one.
std::optional<FrameHead> ReadHead(std::string_view bytes, uint64_t segment, uint64_t position);
/// `body`: what follows the head, head.bytes() - sizeof(FrameHead) bytes.
bool BodyIsWhole(const FrameHead& head, std::string_view body);

/// Nothing if the body is not whole.
std::optional<std::vector<GroupPart>> ReadGroup(const FrameHead& head, std::string_view body);
/// A record that views `body`, which `owner` keeps alive at a multiple of 8 bytes. kCorruption: the
/// body is not whole.
Result<LogRecord> ReadRecord(const FrameHead& head, std::string_view body,
                             const std::shared_ptr<const void>& owner);

}  // namespace millrace::log_embedded
