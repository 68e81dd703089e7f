#include "shard_database.h"

#include <fcntl.h>
#include <rocksdb/sst_file_reader.h>
#include <rocksdb/unique_id.h>
#include <rocksdb/utilities/checkpoint.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <set>

#include "millrace/base/descriptors.h"
#include "millrace/base/facts.h"
#include "millrace/base/hash.h"
#include "millrace/base/system_error.h"
#include "millrace/rocksdb_log/rocksdb_log.h"

namespace millrace::state_rocksdb {
namespace {

namespace fs = std::filesystem;

rocksdb::Options StateOptions(const std::string& folder) {
  rocksdb::Options o;
  o.info_log = RocksDbErrorsToLog(folder);
  o.compression = rocksdb::kLZ4Compression;
  o.write_buffer_size = 64 << 20;
  // The state is a cache: what was not frozen need not outlive the process.
  o.avoid_flush_during_shutdown = true;
  // The manifest is uploaded whole at every freeze.
  o.max_manifest_file_size = 256 << 10;
  // RocksDB's least. A state is read once, at a restore; descriptors are what shards share.
  o.max_open_files = 20;
  return o;
}

bool IsTable(const std::string& name) { return name.ends_with(".sst"); }

/// What a database needs to open again. Options and logs are not part of a state.
bool IsState(const std::string& name) {
  return IsTable(name) || name == "CURRENT" || name.starts_with("MANIFEST-");
}

/// Whether files whose checksums fit are the reason why no database opens from them. What may pass
/// is no fault of theirs, whatever code RocksDB gives it: too many open files, for example, make a
/// CURRENT that cannot be opened an invalid argument.
bool IsOfFiles(const rocksdb::Status& s) {
  const std::string text = s.ToString();
  if (NamesPassingError(text)) return false;
  // Its words for one that opened at the second try; nobody asks for direct I/O.
  if (text.find("Direct I/O") != std::string::npos) return false;
  return s.IsCorruption() || s.IsInvalidArgument() || s.IsNotFound() || s.IsPathNotFound();
}

class FileSource : public ByteSource {
 public:
  explicit FileSource(std::string path)
      : path_(std::move(path)),
        fd_(open(path_.c_str(), O_RDONLY | O_CLOEXEC)),
        error_(fd_ < 0 ? errno : 0) {}
  ~FileSource() override {
    if (fd_ >= 0) close(fd_);
  }
  FileSource(const FileSource&) = delete;

  /// kNotFound: there is no such file. What may pass is not taken for that.
  Status opened() const {
    if (error_ == 0) return {};
    if (error_ == ENOENT) return NotFound("a frozen state file is missing", {{"path", path_}});
    return SystemError("a frozen state file cannot be opened", error_, path_);
  }
  Result<std::string> Read(size_t limit) override {
    std::string piece(limit, '\0');
    size_t got = 0;
    while (got < limit) {
      const ssize_t n = read(fd_, piece.data() + got, limit - got);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return SystemError("a frozen state file cannot be read", errno, path_);
      if (n == 0) break;
      got += static_cast<size_t>(n);
    }
    piece.resize(got);
    return piece;
  }

 private:
  const std::string path_;
  const int fd_;
  const int error_;
};

/// Writes a state file and compares it with what it must be.
class FileSink : public ByteSink {
 public:
  FileSink(std::string path, StateFile file)
      : path_(std::move(path)), file_(std::move(file)), out_(path_, std::ios::binary) {}

  Status Write(std::string_view bytes) override {
    out_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!out_) return SystemError("a state file cannot be written", errno, path_);
    size_ += static_cast<int64_t>(bytes.size());
    crc32c_ = Crc32c(bytes, crc32c_);
    return {};
  }
  Status Finish() override {
    out_.close();
    if (!out_) return SystemError("a state file cannot be written", errno, path_);
    if (size_ != file_.size || crc32c_ != file_.crc32c)
      return Corruption("a state file is damaged", {{"name", file_.name}});
    return {};
  }

 private:
  const std::string path_;
  const StateFile file_;
  std::ofstream out_;
  int64_t size_ = 0;
  uint32_t crc32c_ = 0;
};

}  // namespace

Error ShardDatabase::FromStatus(const rocksdb::Status& s, const std::string& what) const {
  const std::string text = what + " folder=" + folder_ + " error=\"" + s.ToString() + "\"";
  const bool damaged = s.IsCorruption() && !NamesPassingError(text);
  return damaged ? Corruption(text) : Unavailable(text);
}

Status ShardDatabase::Clear() {
  db_.reset();
  described_.clear();
  frozen_.clear();
  restored_any_ = false;
  std::error_code error;
  fs::remove_all(folder_, error);
  if (!error) fs::create_directories(folder_ + "/db", error);
  if (error) return SystemError("a shard's folder cannot be emptied", error.value(), folder_);
  return {};
}

Status ShardDatabase::Open(bool create) {
  MILLRACE_TRY(descriptors::RoomForShard());
  rocksdb::Options options = StateOptions(folder_);
  options.create_if_missing = create;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status s = rocksdb::DB::Open(options, folder_ + "/db", &db);
  if (!s.ok() && !create && IsOfFiles(s))
    return Corruption("files are no state", {{"folder", folder_}, {"error", s.ToString()}});
  if (!s.ok()) return FromStatus(s, "a shard's state does not open");
  db_.reset(db);
  return {};
}

Status ShardDatabase::OpenEmpty() {
  std::lock_guard lock(mutex_);
  MILLRACE_TRY(Clear());
  return Open(true);
}

Status ShardDatabase::Apply(const StateBatch& batch) {
  std::lock_guard lock(mutex_);
  if (!db_) return Unavailable("a shard's state is closed", {{"folder", folder_}});
  rocksdb::WriteBatch writes;
  rocksdb::Status s;
  for (const auto& [begin, end] : batch.delete_ranges) {
    if (s.ok() && begin < end) s = writes.DeleteRange(begin, end);
  }
  for (const auto& [key, value] : batch.puts)
    if (s.ok()) s = writes.Put(key, value);
  rocksdb::WriteOptions no_wal;
  no_wal.disableWAL = true;
  if (s.ok()) s = db_->Write(no_wal, &writes);
  if (!s.ok()) return FromStatus(s, "a shard's state cannot be written");
  return {};
}

Result<std::vector<StateFile>> ShardDatabase::Freeze() {
  std::lock_guard lock(mutex_);
  if (!db_) return Unavailable("a shard's state is closed", {{"folder", folder_}});
  rocksdb::Checkpoint* made = nullptr;
  rocksdb::Status s = rocksdb::Checkpoint::Create(db_.get(), &made);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  const std::string previous = frozen_;
  frozen_ = folder_ + "/frozen-" + std::to_string(++freezes_);
  if (s.ok()) s = checkpoint->CreateCheckpoint(frozen_);
  if (!s.ok()) return FromStatus(s, "a shard's state cannot be frozen");
  if (!previous.empty()) {
    std::error_code error;
    fs::remove_all(previous, error);
    if (error)
      return SystemError("the last frozen state cannot be removed", error.value(), previous);
  }
  std::set<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(frozen_, error))
    if (IsState(entry.path().filename())) names.insert(entry.path().filename());
  if (error) return SystemError("a frozen state cannot be listed", error.value(), frozen_);
  std::vector<StateFile> files;
  for (const std::string& name : names) {
    MILLRACE_ASSIGN(StateFile file, Describe(name));
    files.push_back(std::move(file));
  }
  std::erase_if(described_, [&](const auto& known) { return !names.contains(known.first); });
  return files;
}

Result<StateFile> ShardDatabase::Describe(const std::string& name) {
  if (const auto known = described_.find(name); known != described_.end()) return known->second;
  const std::string path = frozen_ + "/" + name;
  FileSource in(path);
  MILLRACE_TRY(in.opened());
  StateFile file{name, {}, 0, 0};
  std::string head;
  for (;;) {
    MILLRACE_ASSIGN(std::string piece, in.Read(kStreamPiece));
    if (piece.empty()) break;
    file.size += static_cast<int64_t>(piece.size());
    file.crc32c = Crc32c(piece, file.crc32c);
    if (!IsTable(name)) head += piece;
  }
  std::string id;
  if (IsTable(name)) {
    rocksdb::SstFileReader reader(StateOptions(folder_));
    rocksdb::Status s = reader.Open(path);
    if (s.ok())
      s = rocksdb::GetExtendedUniqueIdFromTableProperties(*reader.GetTableProperties(), &id);
    if (!s.ok()) return FromStatus(s, "a table file has no unique id name=" + name);
  } else {
    const Hash128 hash = Hash(head);
    ByteWriter w(&id);
    w.Fixed(hash.lo);
    w.Fixed(hash.hi);
  }
  file.identity = Hex(id);
  if (IsTable(name)) described_[name] = file;
  return file;
}

Result<std::shared_ptr<ByteSource>> ShardDatabase::ReadFile(const std::string& name) {
  std::lock_guard lock(mutex_);
  if (frozen_.empty() || !IsState(name) || name.find('/') != name.npos)
    return NotFound("no frozen state file has this name", {{"name", name}});
  auto source = std::make_shared<FileSource>(frozen_ + "/" + name);
  MILLRACE_TRY(source->opened());
  return std::shared_ptr<ByteSource>(std::move(source));
}

Status ShardDatabase::BeginRestore() {
  std::lock_guard lock(mutex_);
  MILLRACE_TRY(Clear());
  return Open(true);
}

Result<std::shared_ptr<ByteSink>> ShardDatabase::RestoreFile(const StateFile& file) {
  std::lock_guard lock(mutex_);
  if (!IsState(file.name) || file.name.find('/') != file.name.npos)
    return Corruption("a state holds a file that RocksDB did not write", {{"name", file.name}});
  const std::string folder = folder_ + "/restore";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return SystemError("a folder for state files cannot be made", error.value(), folder);
  restored_any_ = true;
  return std::shared_ptr<ByteSink>(std::make_shared<FileSink>(folder + "/" + file.name, file));
}

/// The files that were written become the database.
Status ShardDatabase::UseRestored() {
  if (!restored_any_) return {};
  db_.reset();
  std::error_code error;
  fs::remove_all(folder_ + "/db", error);
  if (!error) fs::rename(folder_ + "/restore", folder_ + "/db", error);
  if (error)
    return SystemError("restored state files cannot be put in place", error.value(), folder_);
  return Open(false);
}

Status ShardDatabase::FinishRestore() {
  std::lock_guard lock(mutex_);
  const Status restored = UseRestored();
  restored_any_ = false;
  if (restored.ok()) return restored;
  MILLRACE_TRY(Clear());
  MILLRACE_TRY(Open(true));
  return restored;
}

Result<std::vector<std::pair<std::string, std::string>>> ShardDatabase::Scan(
    const std::string& from, size_t limit) {
  std::lock_guard lock(mutex_);
  if (!db_) return Unavailable("a shard's state is closed", {{"folder", folder_}});
  std::vector<std::pair<std::string, std::string>> found;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator({}));
  for (it->Seek(from); it->Valid() && found.size() < limit; it->Next())
    found.emplace_back(it->key().ToString(), it->value().ToString());
  if (!it->status().ok()) return FromStatus(it->status(), "a shard's state cannot be read");
  return found;
}

}  // namespace millrace::state_rocksdb
