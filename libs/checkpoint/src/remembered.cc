#include "millrace/checkpoint/remembered.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace millrace::checkpoint {
namespace {

/// Whether two records lie in one block, when the younger one is `age` offsets back. Of a block the
/// lowest record is kept. Blocks of older records are twice as large and begin where two smaller
/// ones did, so what is kept later is part of what is kept now.
bool InOneBlock(Offset older, Offset younger, int64_t age) {
  const int octave = static_cast<int>(std::bit_width(static_cast<uint64_t>(age))) - 1;
  const int block = std::max(0, octave - 1);
  return older.value >> block == younger.value >> block;
}

}  // namespace

Remembered::Remembered(const std::vector<RecordIdentity>& records) {
  const size_t sparse = records.size() - std::min(records.size(), kRememberedRecords);
  const auto split = records.begin() + static_cast<std::ptrdiff_t>(sparse);
  sparse_.assign(records.begin(), split);
  last_.assign(split, records.end());
}

void Remembered::Add(const LogRecord* records, size_t count) {
  if (count == 0) return;
  const Offset next(records[count - 1].offset.value + 1);
  // Which record of a block is the first, the one right before says, also if it is not kept.
  std::optional<Offset> older;
  if (!sparse_.empty()) older = sparse_.back().offset;
  const auto first_of_block = [&](Offset offset) {
    const auto before = std::exchange(older, offset);
    return !before || !InOneBlock(*before, offset, next.value - offset.value);
  };
  while (!last_.empty() && last_.size() + count > kRememberedRecords) {
    if (first_of_block(OffsetOf(last_.front()))) sparse_.push_back(Identity(last_.front()));
    last_.pop_front();
  }
  const size_t passing = count - std::min(count, kRememberedRecords);
  for (size_t i = 0; i < passing; ++i)
    if (first_of_block(records[i].offset)) sparse_.push_back(IdentityOf(records[i]));
  last_.insert(last_.end(), records + passing, records + count);
  Thin(next);
}

void Remembered::Thin(Offset next) {
  std::deque<RecordIdentity> kept;
  std::optional<Offset> older;
  for (const RecordIdentity& record : sparse_) {
    const int64_t age = next.value - record.offset.value;
    const bool first = !older || !InOneBlock(*older, record.offset, age);
    if (first && age < 2 * kRememberedOffsets) kept.push_back(record);
    older = record.offset;
  }
  sparse_ = std::move(kept);
}

void Remembered::ForgetFrom(Offset place) {
  while (!last_.empty() && OffsetOf(last_.back()) >= place) last_.pop_back();
  while (!sparse_.empty() && sparse_.back().offset >= place) sparse_.pop_back();
}

std::vector<RecordIdentity> Remembered::all() const {
  std::vector<RecordIdentity> records(sparse_.begin(), sparse_.end());
  for (const Entry& entry : last_) records.push_back(Identity(entry));
  return records;
}

std::optional<RecordIdentity> Remembered::last() const {
  if (!last_.empty()) return Identity(last_.back());
  return sparse_.empty() ? std::nullopt : std::optional(sparse_.back());
}

std::optional<Micros> Remembered::last_append_time() const {
  if (last_.empty()) return std::nullopt;
  const auto* record = std::get_if<LogRecord>(&last_.back());
  return record == nullptr ? std::nullopt : std::optional(record->append_time);
}

Offset Remembered::OffsetOf(const Entry& entry) {
  const auto* record = std::get_if<LogRecord>(&entry);
  return record == nullptr ? std::get<RecordIdentity>(entry).offset : record->offset;
}

RecordIdentity Remembered::Identity(const Entry& entry) {
  const auto* record = std::get_if<LogRecord>(&entry);
  return record == nullptr ? std::get<RecordIdentity>(entry) : IdentityOf(*record);
}

}  // namespace millrace::checkpoint
