#include "record_codec.h"

#include <cstring>

#include "millrace/base/bytes.h"
#include "millrace/base/hash.h"

namespace millrace::log_embedded {

std::string EncodePrefix(const LogEntry& entry, Micros append_time) {
  std::string prefix;
  ByteWriter w(&prefix);
  w.Fixed(uint32_t{0});
  w.Fixed(append_time);
  w.Text(entry.key);
  w.Varint(entry.headers.size());
  for (const LogHeader& h : entry.headers) {
    w.Text(h.name);
    w.Text(h.value);
  }
  const uint32_t crc =
      Crc32c(entry.value, Crc32c(std::string_view(prefix).substr(sizeof(uint32_t))));
  std::memcpy(prefix.data(), &crc, sizeof crc);
  return prefix;
}

std::string_view Arena::Copy(std::string_view bytes) {
  if (bytes.empty()) return {reinterpret_cast<const char*>(this), 0};
  const size_t padded = (bytes.size() + 7) & ~size_t{7};
  if (padded > left_) {
    left_ = std::max(padded, kChunk);
    chunks_.push_back(std::make_unique_for_overwrite<uint64_t[]>(left_ / sizeof(uint64_t)));
    next_ = reinterpret_cast<char*>(chunks_.back().get());
  }
  char* const at = next_;
  std::memcpy(at, bytes.data(), bytes.size());
  next_ += padded;
  left_ -= padded;
  return {at, bytes.size()};
}

Result<LogRecord> DecodeRecord(std::string_view stored, Offset offset,
                               const std::shared_ptr<Arena>& arena) {
  ByteReader r(stored);
  const auto crc = r.Fixed<uint32_t>();
  if (!r.ok() || Crc32c(stored.substr(sizeof crc)) != crc)
    return Corruption("a record's checksum does not fit");
  LogRecord record;
  record.offset = offset;
  record.append_time = r.Fixed<Micros>();
  record.key = arena->Copy(r.Text());
  const uint64_t headers = r.Varint();
  for (uint64_t i = 0; i < headers && r.ok(); ++i) {
    const std::string_view name = r.Text();
    record.headers.push_back({std::string(name), std::string(r.Text())});
  }
  if (!r.ok()) return Corruption("a record does not decode");
  record.value = arena->Copy(r.Raw(r.left()));
  record.owner = arena;
  return record;
}

Result<Micros> DecodeAppendTime(std::string_view stored) {
  ByteReader r(stored);
  r.Fixed<uint32_t>();
  const auto time = r.Fixed<Micros>();
  if (!r.ok()) return Corruption("a record does not decode");
  return time;
}

std::string RecordKey(uint32_t topic, int32_t partition, int64_t offset) {
  std::string key = "r";
  ByteWriter w(&key);
  w.Fixed(__builtin_bswap32(topic));
  w.Fixed(__builtin_bswap32(static_cast<uint32_t>(partition)));
  w.Fixed(__builtin_bswap64(static_cast<uint64_t>(offset)));
  return key;
}

int64_t OffsetOfKey(std::string_view key) {
  ByteReader r(key.substr(key.size() - sizeof(uint64_t)));
  return static_cast<int64_t>(__builtin_bswap64(r.Fixed<uint64_t>()));
}

}  // namespace millrace::log_embedded
