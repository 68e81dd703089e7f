#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <variant>
#include <vector>

#include "millrace/log/record_identity.h"

namespace millrace::checkpoint {

/// How many of the last records are remembered, and how far back the other ones lie, in offsets.
inline constexpr size_t kRememberedRecords = 16;
inline constexpr int64_t kRememberedOffsets = 1 << 20;

/// What a shard remembers of the log behind its place, so that it notices when the log has become
/// another one: the last records, and ever fewer of those further back. Two neighbours behind the
/// last ones are never more than about twice as far back as each other, so the place at which two
/// logs part is known within a factor of two. It holds at most 16 records and 51 identities.
///
/// What it holds depends on the records alone, and not on how they were handed over.
class Remembered {
 public:
  Remembered() = default;
  /// As all() gave them.
  explicit Remembered(const std::vector<RecordIdentity>& records);

  /// Records that were read, by rising offset, behind all before.
  void Add(const LogRecord* records, size_t count);
  /// Another log goes on there: what lies at `place` and above is no part of it.
  void ForgetFrom(Offset place);

  /// By rising offset.
  std::vector<RecordIdentity> all() const;
  std::optional<RecordIdentity> last() const;
  /// The append time of the last record; nothing: it was restored, and not read here.
  std::optional<Micros> last_append_time() const;

 private:
  /// A record is hashed only when that is asked for: most are forgotten before.
  using Entry = std::variant<RecordIdentity, LogRecord>;
  static Offset OffsetOf(const Entry& entry);
  static RecordIdentity Identity(const Entry& entry);
  void Thin(Offset next);

  std::deque<RecordIdentity> sparse_;
  std::deque<Entry> last_;
};

}  // namespace millrace::checkpoint
