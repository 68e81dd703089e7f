#include "store.h"

#include <fcntl.h>
#include <rocksdb/utilities/debug.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "millrace/base/bytes.h"
#include "millrace/base/log.h"
#include "millrace/rocksdb_log/rocksdb_log.h"

namespace millrace::log_embedded {
namespace {

constexpr uint32_t kFormatVersion = 1;
constexpr char kLockFile[] = "/LOCK.millrace";

std::string Facts(uint32_t topic, int32_t partition, int64_t offset) {
  return " topic_id=" + std::to_string(topic) + " partition=" + std::to_string(partition) +
         " offset=" + std::to_string(offset);
}

Error DirectoryError(int error, const std::string& directory, const char* what) {
  const std::string facts = " directory=" + directory + " error=\"" + std::strerror(error) + "\"";
  if (error == EIO || error == ENOSPC || error == EMFILE || error == ENFILE)
    return Unavailable(std::string(what) + facts);
  return InvalidArgument(std::string(what) + ": choose a directory that this user can write" +
                         facts);
}

Result<int> LockDirectory(const std::string& directory) {
  std::error_code made;
  std::filesystem::create_directories(directory, made);
  if (made) return DirectoryError(made.value(), directory, "cannot make the log's directory");
  const int fd = open((directory + kLockFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return DirectoryError(errno, directory, "cannot write the log's directory");
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char owner[32] = {};
    const ssize_t n = pread(fd, owner, sizeof owner - 1, 0);
    close(fd);
    return Conflict(
        "the log's directory is in use by another process: stop it or choose another "
        "directory directory=" +
        directory + " pid=" + std::string(owner, n > 0 ? static_cast<size_t>(n) : 0));
  }
  const std::string pid = std::to_string(getpid());
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    const int error = errno;
    close(fd);
    return DirectoryError(error, directory, "cannot write the log's directory");
  }
  return fd;
}

rocksdb::Options LogOptions(const std::string& directory) {
  rocksdb::Options o;
  o.info_log = RocksDbErrorsToLog(directory);
  o.create_if_missing = true;
  o.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  o.write_buffer_size = 64 << 20;
  o.max_write_buffer_number = 4;
  o.compression = rocksdb::kNoCompression;
  // Blocks are written once and never move again: compaction rewrites keys and small records only.
  o.enable_blob_files = true;
  o.min_blob_size = 4096;
  return o;
}

}  // namespace

Store::Store(std::string directory, int lock_fd)
    : directory_(std::move(directory)), lock_fd_(lock_fd) {}

Store::~Store() {
  CloseDatabase();
  close(lock_fd_);
}

Result<std::unique_ptr<Store>> Store::Open(const std::string& directory) {
  MILLRACE_ASSIGN(const int fd, LockDirectory(directory));
  std::unique_ptr<Store> store(new Store(directory, fd));
  MILLRACE_TRY(store->OpenDatabase());
  MILLRACE_TRY(store->CheckFormat());
  return store;
}

Status Store::OpenDatabase() {
  rocksdb::DB* db = nullptr;
  const rocksdb::Status s = rocksdb::DB::Open(LogOptions(directory_), directory_, &db);
  if (!s.ok())
    return FromStatus(
        s,
        "the log does not open: check disk, space and rights, or bring the data directory "
        "from a copy");
  db_.reset(db);
  return {};
}

void Store::CloseDatabase() {
  if (!db_) return;
  const rocksdb::Status s = db_->Close();
  if (!s.ok()) {
    LogWarn("closing the log failed: what was acknowledged is in its write-ahead log",
            {{"directory", directory_}, {"error", s.ToString()}});
  }
  db_.reset();
}

Status Store::Reopen() {
  std::lock_guard lock(exchange_);
  CloseDatabase();
  return OpenDatabase();
}

Error Store::NotOpen() const {
  return Unavailable("the log is closed after a failed write: check disk and space directory=" +
                     directory_);
}

Error Store::FromStatus(const rocksdb::Status& s, const std::string& what,
                        const std::string& about) const {
  const std::string facts = about + " directory=" + directory_ + " error=\"" + s.ToString() + "\"";
  if (s.IsCorruption()) {
    return Corruption(what + ": it is damaged; restore the data directory from a copy" + facts);
  }
  const std::string text = what + facts;
  if (s.IsInvalidArgument() || s.IsNotSupported()) return InvalidArgument(text);
  return Unavailable(text);
}

Status Store::CheckFormat() {
  std::string value;
  const rocksdb::Status s = db_->Get({}, "f", &value);
  if (s.IsNotFound()) {
    ByteWriter(&value).Fixed(kFormatVersion);
    rocksdb::WriteOptions sync;
    sync.sync = true;
    const rocksdb::Status put = db_->Put(sync, "f", value);
    if (!put.ok()) return FromStatus(put, "the log cannot be written");
    return {};
  }
  if (!s.ok()) return FromStatus(s, "the log cannot be read");
  const auto version = ByteReader(value).Fixed<uint32_t>();
  if (version != kFormatVersion)
    return InvalidArgument(
        "the log has a format that this program does not know: use the version "
        "that wrote it directory=" +
        directory_ + " format=" + std::to_string(version));
  return {};
}

Result<std::map<std::string, Store::Topic>> Store::Topics() {
  std::shared_lock lock(exchange_);
  if (!db_) return NotOpen();
  return ReadTopics();
}

Result<std::map<std::string, Store::Topic>> Store::ReadTopics() {
  std::map<std::string, Topic> topics;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator({}));
  for (it->Seek("t"); it->Valid() && it->key().starts_with("t"); it->Next()) {
    ByteReader r(it->value().ToStringView());
    Topic topic;
    topic.id = r.Fixed<uint32_t>();
    topic.partitions = r.Fixed<int32_t>();
    std::string name(it->key().ToStringView().substr(1));
    if (!r.ok() || topic.partitions < 1)
      return Corruption("a topic of the log does not decode directory=" + directory_ +
                        " topic=" + name);
    topics.emplace(std::move(name), topic);
  }
  if (!it->status().ok()) return FromStatus(it->status(), "the log's topics cannot be read");
  return topics;
}

Result<Store::Topic> Store::PutTopic(const std::string& name, int32_t partitions) {
  // No Reopen may bring another topic to light between the reading and the writing.
  std::shared_lock lock(exchange_);
  if (!db_) return NotOpen();
  MILLRACE_ASSIGN(const auto topics, ReadTopics());
  if (const auto at = topics.find(name); at != topics.end()) return at->second;
  Topic topic{1, partitions};
  for (const auto& [other, known] : topics) topic.id = std::max(topic.id, known.id + 1);
  std::string value;
  ByteWriter w(&value);
  w.Fixed(topic.id);
  w.Fixed(topic.partitions);
  rocksdb::WriteOptions sync;
  sync.sync = true;
  const rocksdb::Status s = db_->Put(sync, "t" + name, value);
  if (!s.ok()) return FromStatus(s, "a topic could not be created", " topic=" + name);
  return topic;
}

Result<Store::Extent> Store::FindExtent(uint32_t topic, int32_t partition) {
  Extent extent;
  const std::string prefix = RecordKey(topic, partition, 0).substr(0, 9);
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator({}));
  it->SeekForPrev(RecordKey(topic, partition, -1));
  if (it->Valid() && it->key().starts_with(prefix)) {
    extent.end = OffsetOfKey(it->key().ToStringView()) + 1;
    MILLRACE_ASSIGN(extent.last_time, DecodeAppendTime(it->value().ToStringView()));
    // An iterator would read the value too, and damage of that one record must not keep the rest
    // from being served.
    std::vector<rocksdb::KeyVersion> oldest;
    const rocksdb::Status found =
        rocksdb::GetAllKeyVersions(db_.get(), prefix, it->key(), 1, &oldest);
    if (!found.ok()) return FromStatus(found, "the log's start cannot be found");
    if (!oldest.empty()) extent.start = OffsetOfKey(oldest.front().user_key);
  }
  if (!it->status().ok()) return FromStatus(it->status(), "the log's end cannot be found");
  return extent;
}

Status Store::Commit(const std::vector<Write>& writes) {
  std::shared_lock lock(exchange_);
  if (!db_) return NotOpen();
  rocksdb::WriteBatch batch;
  for (const Write& w : writes) {
    const std::string key = RecordKey(w.topic, w.partition, w.offset);
    const std::string prefix = EncodePrefix(*w.entry, w.append_time);
    const rocksdb::Slice key_part(key);
    const rocksdb::Slice value_parts[2] = {prefix, w.entry->value};
    const rocksdb::Status s = batch.Put({&key_part, 1}, {value_parts, 2});
    if (!s.ok()) return FromStatus(s, "a record could not be added to a group");
  }
  rocksdb::WriteOptions sync;
  sync.sync = true;
  const rocksdb::Status s = db_->Write(sync, &batch);
  if (!s.ok()) return FromStatus(s, "the log could not be written: check disk and space");
  return {};
}

Result<std::vector<LogRecord>> Store::Scan(uint32_t topic, int32_t partition, int64_t from,
                                           int64_t end, size_t max_bytes) {
  std::shared_lock lock(exchange_);
  if (!db_) return NotOpen();
  std::vector<LogRecord> records;
  const auto arena = std::make_shared<Arena>();
  const std::string upper = RecordKey(topic, partition, end);
  const rocksdb::Slice upper_slice(upper);
  rocksdb::ReadOptions options;
  options.iterate_upper_bound = &upper_slice;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
  size_t bytes = 0;
  int64_t next = from;
  for (it->Seek(RecordKey(topic, partition, from));
       it->Valid() && next < end && (bytes < max_bytes || records.empty()); it->Next(), ++next) {
    if (OffsetOfKey(it->key().ToStringView()) != next) break;
    auto record = DecodeRecord(it->value().ToStringView(), Offset(next), arena);
    if (!record.ok()) {
      // What is good before the damage is read first; the next read begins at it.
      if (!records.empty()) return records;
      return Corruption(record.error().message + Facts(topic, partition, next) +
                        " directory=" + directory_);
    }
    bytes += record->value.size();
    records.push_back(std::move(*record));
  }
  if (!records.empty()) return records;
  if (!it->status().ok())
    return FromStatus(it->status(), "the log cannot be read", Facts(topic, partition, next));
  if (next < end && (bytes < max_bytes || records.empty()))
    return Corruption("a record is missing" + Facts(topic, partition, next) +
                      " directory=" + directory_);
  return records;
}

Result<Micros> Store::AppendTimeAt(uint32_t topic, int32_t partition, int64_t offset) {
  std::shared_lock lock(exchange_);
  if (!db_) return NotOpen();
  rocksdb::PinnableSlice value;
  const rocksdb::Status s =
      db_->Get({}, db_->DefaultColumnFamily(), RecordKey(topic, partition, offset), &value);
  if (s.IsNotFound())
    return Corruption("a record is missing" + Facts(topic, partition, offset) +
                      " directory=" + directory_);
  if (!s.ok()) return FromStatus(s, "the log cannot be read", Facts(topic, partition, offset));
  return DecodeAppendTime(value.ToStringView());
}

}  // namespace millrace::log_embedded
