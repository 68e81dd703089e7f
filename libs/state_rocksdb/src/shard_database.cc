#include "shard_database.h"

#include <rocksdb/sst_file_reader.h>
#include <rocksdb/unique_id.h>
#include <rocksdb/utilities/checkpoint.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

#include "millrace/base/hash.h"
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
  o.max_open_files = 1024;
  return o;
}

bool IsTable(const std::string& name) { return name.ends_with(".sst"); }

/// What a database needs to open again. Options and logs are not part of a state.
bool IsState(const std::string& name) {
  return IsTable(name) || name == "CURRENT" || name.starts_with("MANIFEST-");
}

/// Whether files whose checksums fit are the reason why no database opens from them. Anything else,
/// such as too many open files or a full disk, is no fault of theirs and passes.
bool IsOfFiles(const rocksdb::Status& s) {
  // RocksDB's word for a CURRENT that is there and cannot be opened; nobody asks for direct I/O.
  if (s.IsInvalidArgument()) return s.ToString().find("Direct I/O") == std::string::npos;
  return s.IsCorruption() || s.IsNotFound() || s.IsPathNotFound();
}

}  // namespace

Error ShardDatabase::FromStatus(const rocksdb::Status& s, const std::string& what) const {
  const std::string text = what + " folder=" + folder_ + " error=\"" + s.ToString() + "\"";
  return s.IsCorruption() ? Corruption(text) : Unavailable(text);
}

Error ShardDatabase::DiskError(const std::string& what, const std::string& path) const {
  return Unavailable(what + ": check disk, space and rights path=" + path + " error=\"" +
                     std::strerror(errno) + "\"");
}

Status ShardDatabase::Clear() {
  db_.reset();
  described_.clear();
  frozen_.clear();
  std::error_code error;
  fs::remove_all(folder_, error);
  if (!error) fs::create_directories(folder_ + "/db", error);
  if (error) {
    errno = error.value();
    return DiskError("a shard's folder cannot be emptied", folder_);
  }
  return {};
}

Status ShardDatabase::Open(bool create) {
  rocksdb::Options options = StateOptions(folder_);
  options.create_if_missing = create;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status s = rocksdb::DB::Open(options, folder_ + "/db", &db);
  if (!s.ok() && !create && IsOfFiles(s))
    return Corruption("files are no state folder=" + folder_ + " error=\"" + s.ToString() + "\"");
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
  if (!db_) return Unavailable("a shard's state is closed folder=" + folder_);
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
  if (!db_) return Unavailable("a shard's state is closed folder=" + folder_);
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
    if (error) {
      errno = error.value();
      return DiskError("the last frozen state cannot be removed", previous);
    }
  }
  std::set<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(frozen_, error))
    if (IsState(entry.path().filename())) names.insert(entry.path().filename());
  if (error) {
    errno = error.value();
    return DiskError("a frozen state cannot be listed", frozen_);
  }
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
  std::ifstream in(path, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in) return DiskError("a frozen state file cannot be read", path);
  StateFile file{name, {}, static_cast<int64_t>(bytes.size()), Crc32c(bytes)};
  std::string id;
  if (IsTable(name)) {
    rocksdb::SstFileReader reader(StateOptions(folder_));
    rocksdb::Status s = reader.Open(path);
    if (s.ok())
      s = rocksdb::GetExtendedUniqueIdFromTableProperties(*reader.GetTableProperties(), &id);
    if (!s.ok()) return FromStatus(s, "a table file has no unique id name=" + name);
  } else {
    const Hash128 hash = Hash(bytes);
    ByteWriter w(&id);
    w.Fixed(hash.lo);
    w.Fixed(hash.hi);
  }
  file.identity = Hex(id);
  if (IsTable(name)) described_[name] = file;
  return file;
}

Result<Buffer> ShardDatabase::ReadFile(const std::string& name) {
  std::lock_guard lock(mutex_);
  if (frozen_.empty() || !IsState(name) || name.find('/') != name.npos)
    return NotFound("no frozen state file has this name name=" + name);
  const std::string path = frozen_ + "/" + name;
  std::ifstream in(path, std::ios::binary);
  if (!in) return NotFound("no frozen state file has this name name=" + name);
  std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (in.bad()) return DiskError("a frozen state file cannot be read", path);
  return Buffer::Own(std::move(bytes));
}

Status ShardDatabase::WriteFiles(const std::vector<std::pair<StateFile, Buffer>>& files) {
  for (const auto& [file, data] : files) {
    if (!IsState(file.name) || file.name.find('/') != file.name.npos)
      return Corruption("a state holds a file that is none of RocksDB's name=" + file.name);
    if (static_cast<int64_t>(data.bytes.size()) != file.size || Crc32c(data.bytes) != file.crc32c)
      return Corruption("a state file is damaged name=" + file.name);
    const std::string path = folder_ + "/db/" + file.name;
    std::ofstream out(path, std::ios::binary);
    out.write(data.bytes.data(), static_cast<std::streamsize>(data.bytes.size()));
    out.close();
    if (!out) return DiskError("a state file cannot be written", path);
  }
  return {};
}

Status ShardDatabase::Restore(const std::vector<std::pair<StateFile, Buffer>>& files) {
  std::lock_guard lock(mutex_);
  MILLRACE_TRY(Clear());
  Status restored = WriteFiles(files);
  if (restored.ok()) {
    restored = Open(files.empty());
    if (restored.ok()) return restored;
  }
  const Error error = restored.error();
  MILLRACE_TRY(Clear());
  MILLRACE_TRY(Open(true));
  return error;
}

Result<std::vector<std::pair<std::string, std::string>>> ShardDatabase::Scan(
    const std::string& from, size_t limit) {
  std::lock_guard lock(mutex_);
  if (!db_) return Unavailable("a shard's state is closed folder=" + folder_);
  std::vector<std::pair<std::string, std::string>> found;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator({}));
  for (it->Seek(from); it->Valid() && found.size() < limit; it->Next())
    found.emplace_back(it->key().ToString(), it->value().ToString());
  if (!it->status().ok()) return FromStatus(it->status(), "a shard's state cannot be read");
  return found;
}

}  // namespace millrace::state_rocksdb
