#include "snapshot_reader.h"

#include <algorithm>
#include <functional>

#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/control/snapshot.h"

namespace millrace::control {
namespace {

constexpr size_t kReadBytes = 1 << 20;

/// Where the chunks of one snapshot lie.
struct Found {
  SnapshotId id;
  std::map<int32_t, Offset> chunks;  ///< the first record of each
  std::set<Offset> offsets;          ///< of all: a chunk is there twice after a doubtful append

  bool whole() const { return static_cast<int64_t>(chunks.size()) == id.chunks; }
};

/// Gives each record of [from, end) to `take` until it says no.
Task<Status> ReadRecords(LogReaders* log, Offset from, Offset end,
                         std::function<bool(const LogRecord&)> take) {
  const auto reader = log->OpenReader(std::string(kControlTopic), PartitionId(0), from);
  while (from < end) {
    MILLRACE_CO_ASSIGN(const LogBatch batch,
                       co_await reader->Next(kReadBytes, std::chrono::microseconds(0)));
    for (const LogRecord& record : batch.records) {
      if (record.offset >= end || !take(record)) co_return Status();
    }
    if (batch.next == from) {
      co_return Unavailable("the control log ends before its own end", {{"offset", from.value}});
    }
    from = batch.next;
  }
  co_return Status();
}

/// All snapshots of which a chunk is there, by their first chunk.
Task<Result<std::vector<Found>>> FindSnapshots(LogReaders* log, OffsetRange range) {
  std::vector<Found> found;
  std::function<bool(const LogRecord&)> take = [&](const LogRecord& record) {
    const auto decoded = Decode(record.value);
    const auto* chunk = decoded.ok() ? std::get_if<Snapshot>(&*decoded) : nullptr;
    if (chunk == nullptr || chunk->chunk < 0 || chunk->chunk >= chunk->chunks) return true;
    const SnapshotId id(*chunk);
    auto at = std::find_if(found.begin(), found.end(), [&](const Found& f) { return f.id == id; });
    if (at == found.end()) at = found.insert(found.end(), Found{id, {}, {}});
    at->chunks.try_emplace(chunk->chunk, record.offset);
    at->offsets.insert(record.offset);
    return true;
  };
  MILLRACE_CO_TRY(co_await ReadRecords(log, range.start, range.end, take));
  co_return found;
}

Task<Result<std::string>> ReadBytes(LogReaders* log, const Found& snapshot) {
  std::string bytes;
  for (const auto& [chunk, offset] : snapshot.chunks) {
    Result<Record> decoded = Corruption("no record at the offset");
    std::function<bool(const LogRecord&)> take = [&](const LogRecord& record) {
      decoded = Decode(record.value);
      return false;
    };
    MILLRACE_CO_TRY(co_await ReadRecords(log, offset, Offset(offset.value + 1), take));
    if (!decoded.ok()) co_return decoded.error();
    const auto* piece = std::get_if<Snapshot>(&*decoded);
    if (piece == nullptr) co_return Corruption("a snapshot's chunk reads differently now");
    bytes += piece->state;
  }
  co_return bytes;
}

/// The fold of a snapshot's bytes. kCorruption: they are not what was written.
Result<Fold> Check(const Found& snapshot, const std::string& bytes) {
  if (Hash(bytes) != snapshot.id.hash) return Corruption("its bytes do not match its hash");
  MILLRACE_ASSIGN(Fold fold, Fold::Decode(bytes));
  if (fold.next_offset().value != snapshot.id.at.value + 1) {
    return Corruption("it was taken at another offset",
                      {{"next_offset", fold.next_offset().value}});
  }
  return fold;
}

/// kCorruption: the snapshot cannot be used; why.
Task<Result<Fold>> FoldFrom(LogReaders* log, OffsetRange range, Found snapshot) {
  if (!snapshot.whole()) co_return Corruption("some of its chunks are missing");
  if (snapshot.id.at.value < range.start.value - 1)
    co_return Corruption("records after it are gone");
  if (snapshot.id.at >= range.end) co_return Corruption("it was taken past the log's end");
  MILLRACE_CO_ASSIGN(const std::string bytes, co_await ReadBytes(log, snapshot));
  MILLRACE_CO_ASSIGN(Fold fold, Check(snapshot, bytes));
  Fold follow = fold;
  std::set<int32_t> valid;
  std::function<bool(const LogRecord&)> take = [&](const LogRecord& record) {
    const auto decoded = Decode(record.value);
    if (!decoded.ok()) {
      follow.ApplyUnreadable(record.offset);
      return true;
    }
    const Verdict verdict = follow.Apply(record.offset, record.append_time, *decoded);
    if (verdict == Verdict::kValid && snapshot.offsets.contains(record.offset))
      valid.insert(std::get<Snapshot>(*decoded).chunk);
    return valid.size() < snapshot.chunks.size();
  };
  MILLRACE_CO_TRY(co_await ReadRecords(log, fold.next_offset(), range.end, take));
  if (valid.size() < snapshot.chunks.size())
    co_return Corruption("whoever wrote it did not lead any more");
  co_return fold;
}

}  // namespace

Task<Result<Fold>> FoldFromSnapshot(LogReaders* log, OffsetRange range) {
  MILLRACE_CO_ASSIGN(const std::vector<Found> found, co_await FindSnapshots(log, range));
  for (const Found& snapshot : found) {
    auto fold = co_await FoldFrom(log, range, snapshot);
    if (fold.ok() || fold.error().code != Code::kCorruption) co_return fold;
    LogWarn("a snapshot of the control log is passed over",
            {{"at", snapshot.id.at.value}, {"error", fold.error().message}});
  }
  co_return Corruption(
      "the control log has lost its first records and holds no snapshot that can be used: bring "
      "back topic " +
          std::string(kControlTopic) +
          " from a backup that has its first record, or a whole snapshot and all records after it",
      {{"start", range.start.value}, {"end", range.end.value}, {"snapshots", found.size()}});
}

}  // namespace millrace::control
