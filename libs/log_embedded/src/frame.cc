#include "frame.h"

#include <cstring>

#include "millrace/base/bytes.h"
#include "millrace/base/hash.h"

namespace millrace::log_embedded {
namespace {

constexpr uint32_t kMagic = 0x324c524d;  // "MRL2"

uint64_t Padded(uint64_t n) { return (n + 7) & ~uint64_t{7}; }

/// Holds for one place only: a frame's image elsewhere, in an event's value for example, is not
/// taken for a frame.
uint32_t HeadCrc(const FrameHead& head, uint64_t segment, uint64_t position) {
  const uint64_t place[2] = {segment, position};
  const uint32_t seed = Crc32c({reinterpret_cast<const char*>(place), sizeof place});
  constexpr size_t kBehind = offsetof(FrameHead, body_crc);
  return Crc32c({reinterpret_cast<const char*>(&head) + kBehind, sizeof head - kBehind}, seed);
}

}  // namespace

uint64_t FrameHead::bytes() const {
  return sizeof(FrameHead) + Padded(meta_bytes) + Padded(value_bytes);
}

GroupWriter::GroupWriter(uint64_t segment, uint64_t position, const std::vector<GroupPart>& parts)
    : segment_(segment), position_(position) {
  std::string table;
  ByteWriter w(&table);
  for (const GroupPart& part : parts) w.Fixed(part);
  FrameHead head;
  head.kind = FrameHead::kGroup;
  head.offset = static_cast<int64_t>(position);
  AddFrame(head, table, {});
}

void GroupWriter::Add(PartitionKey key, int64_t offset, Micros append_time, const LogEntry& entry) {
  std::string meta;
  ByteWriter w(&meta);
  w.Text(entry.key);
  w.Varint(entry.headers.size());
  for (const LogHeader& h : entry.headers) {
    w.Text(h.name);
    w.Text(h.value);
  }
  FrameHead head;
  head.kind = FrameHead::kRecord;
  head.key = key;
  head.offset = offset;
  head.append_time = append_time;
  const uint64_t position = position_ + bytes_.size();
  AddFrame(head, meta, entry.value);
  placed_.push_back({key, offset, append_time, position,
                     static_cast<uint32_t>(position_ + bytes_.size() - position)});
}

void GroupWriter::AddFrame(FrameHead head, std::string_view meta, std::string_view value) {
  const size_t at = bytes_.size();
  head.magic = kMagic;
  head.meta_bytes = static_cast<uint32_t>(meta.size());
  head.value_bytes = static_cast<uint32_t>(value.size());
  bytes_.append(sizeof head, '\0');
  bytes_.append(meta).append(Padded(meta.size()) - meta.size(), '\0');
  bytes_.append(value).append(Padded(value.size()) - value.size(), '\0');
  head.body_crc = Crc32c(std::string_view(bytes_).substr(at + sizeof head));
  head.head_crc = HeadCrc(head, segment_, position_ + at);
  std::memcpy(bytes_.data() + at, &head, sizeof head);
}

std::optional<FrameHead> ReadHead(std::string_view bytes, uint64_t segment, uint64_t position) {
  FrameHead head;
  if (bytes.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, bytes.data(), sizeof head);
  if (head.magic != kMagic || head.head_crc != HeadCrc(head, segment, position))
    return std::nullopt;
  return head;
}

bool BodyIsWhole(const FrameHead& head, std::string_view body) {
  return body.size() == head.bytes() - sizeof head && Crc32c(body) == head.body_crc;
}

std::optional<std::vector<GroupPart>> ReadGroup(const FrameHead& head, std::string_view body) {
  if (!BodyIsWhole(head, body)) return std::nullopt;
  std::vector<GroupPart> parts(head.meta_bytes / sizeof(GroupPart));
  ByteReader r(body);
  for (GroupPart& part : parts) part = r.Fixed<GroupPart>();
  return parts;
}

Result<LogRecord> ReadRecord(const FrameHead& head, std::string_view body,
                             const std::shared_ptr<const void>& owner) {
  if (!BodyIsWhole(head, body)) return Corruption("a record's checksum does not fit");
  LogRecord record;
  record.offset = Offset(head.offset);
  record.append_time = head.append_time;
  ByteReader r(body.substr(0, head.meta_bytes));
  record.key = r.Text();
  const uint64_t headers = r.Varint();
  for (uint64_t i = 0; i < headers && r.ok(); ++i) {
    const std::string_view name = r.Text();
    record.headers.push_back({std::string(name), std::string(r.Text())});
  }
  if (!r.ok()) return Corruption("a record does not decode");
  record.value = body.substr(Padded(head.meta_bytes), head.value_bytes);
  record.owner = owner;
  return record;
}

}  // namespace millrace::log_embedded
