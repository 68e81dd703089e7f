#include "millrace/objectstore_arrow/local_object_store.h"

#include <arrow/buffer.h>
#include <arrow/filesystem/localfs.h>
#include <arrow/io/file.h>
#include <arrow/util/io_util.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <iterator>
#include <mutex>
#include <set>
#include <unordered_set>

#include "millrace/base/crash_point.h"
#include "millrace/base/executor.h"
#include "millrace/base/facts.h"
#include "millrace/base/system_error.h"
#include "millrace/objectstore/object_key.h"
#include "millrace/objectstore/string_sink.h"

// g++ 12 destroys a closure twice that is a temporary of a co_await expression: each gets a name
// first.

namespace millrace::objectstore_arrow {
namespace {

namespace fs = std::filesystem;
using arrow::fs::FileInfo;
using arrow::fs::FileType;

constexpr char kTemporary[] = ".tmp";
/// Of those past it, some are synced once more.
constexpr size_t kMaxKnownFolders = 10'000;

Error ArrowError(const arrow::Status& status, const std::string& what, const std::string& key) {
  const int error = arrow::internal::ErrnoFromStatus(status);
  const std::string remedy =
      error == 0 ? "check disk, space and rights" : std::string(RemedyOf(error));
  return Unavailable(what + ": " + remedy, {{"key", key}, {"error", status.ToString()}});
}

Micros ModifiedAt(const FileInfo& info) {
  return std::chrono::duration_cast<std::chrono::microseconds>(info.mtime().time_since_epoch())
      .count();
}

Status SyncFolder(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return SystemError("a folder cannot be opened", errno, path);
  const int failed = fsync(fd) != 0 ? errno : 0;
  close(fd);
  if (failed != 0) return SystemError("a folder cannot be synced", failed, path);
  return {};
}

}  // namespace

struct LocalObjectStore::Directory {
  explicit Directory(std::string directory) : root(std::move(directory)) {}

  const std::string root;
  arrow::fs::LocalFileSystem files;
  std::atomic<uint64_t> temporaries{0};
  std::mutex mutex;
  std::unordered_set<std::string> durable;  ///< folders that this process has synced

  std::string Path(const std::string& key) const { return root + "/" + key; }

  Status Put(const std::string& key, ByteSource* source);
  Status WriteSynced(const std::string& path, ByteSource* source);
  Status MakeFolders(const std::string& key);
  Status MakeDurable(const std::string& folder, bool made);
  Result<ObjectInfo> Stat(const std::string& key);
  Status Get(const std::string& key, ByteSink* sink);
  /// What a call of List looks for and has found.
  struct Listing {
    const std::string prefix;
    const std::string after;
    const size_t limit;
    std::vector<ObjectInfo> found;

    bool full() const { return found.size() >= limit; }
  };
  Result<std::vector<std::string>> FirstIn(const std::string& folder,
                                           const std::function<bool(const std::string&)>& wanted);
  Status ListBelow(const std::string& folder, Listing* listing);
  Result<std::vector<ObjectInfo>> List(const std::string& prefix, const std::string& after,
                                       size_t limit);
  Result<std::vector<std::string>> ListFolders(const std::string& prefix, const std::string& after,
                                               size_t limit);
  Status CheckIsThere();
  Error Absent(const std::string& key);
  Status Delete(const std::string& key);
};

Status LocalObjectStore::Directory::Put(const std::string& key, ByteSource* source) {
  const std::string temporary =
      root + "/" + kTemporary + "/" + std::to_string(temporaries.fetch_add(1));
  Status written = WriteSynced(temporary, source);
  if (written.ok()) written = MakeFolders(key);
  CrashPoint("objectstore.put.written");
  if (written.ok() && std::rename(temporary.c_str(), Path(key).c_str()) != 0) {
    const int error = errno;
    written = error == EISDIR || error == ENOTDIR || error == ENOTEMPTY
                  ? InvalidArgument("an object's key is a folder of other objects", {{"key", key}})
                  : SystemError("an object cannot be renamed", error, Path(key));
  }
  if (!written.ok()) {
    unlink(temporary.c_str());
    return written;
  }
  CrashPoint("objectstore.put.renamed");
  return SyncFolder(fs::path(Path(key)).parent_path());
}

Status LocalObjectStore::Directory::WriteSynced(const std::string& path, ByteSource* source) {
  const auto opened = arrow::io::FileOutputStream::Open(path);
  if (!opened.ok()) return ArrowError(opened.status(), "a file cannot be made", path);
  const auto& stream = *opened;
  arrow::Status s;
  while (s.ok()) {
    // After an error the stream closes its file as it goes.
    MILLRACE_ASSIGN(const std::string piece, source->Read(kStreamPiece));
    if (piece.empty()) break;
    s = stream->Write(piece.data(), static_cast<int64_t>(piece.size()));
  }
  if (s.ok() && fsync(stream->file_descriptor()) != 0)
    s = arrow::Status::IOError("fsync: ", std::strerror(errno));
  const arrow::Status closed = stream->Close();
  if (s.ok()) s = closed;
  if (!s.ok()) return ArrowError(s, "a file cannot be written", path);
  return {};
}

Status LocalObjectStore::Directory::MakeFolders(const std::string& key) {
  for (size_t slash = key.find('/'); slash != key.npos; slash = key.find('/', slash + 1)) {
    const std::string path = Path(key.substr(0, slash));
    const bool made = mkdir(path.c_str(), 0755) == 0;
    if (!made && errno == ENOTDIR)
      return InvalidArgument("a folder of an object's key is an object", {{"key", key}});
    if (!made && errno != EEXIST) return SystemError("a folder cannot be made", errno, path);
    MILLRACE_TRY(MakeDurable(path, made));
  }
  return {};
}

/// Each folder must be durable in its parent before an object in it is acknowledged. Whoever made
/// it may have failed to sync, or not have come to it yet.
Status LocalObjectStore::Directory::MakeDurable(const std::string& folder, bool made) {
  {
    std::lock_guard lock(mutex);
    if (made) durable.erase(folder);
    if (durable.contains(folder)) return {};
  }
  MILLRACE_TRY(SyncFolder(fs::path(folder).parent_path()));
  std::lock_guard lock(mutex);
  if (durable.size() >= kMaxKnownFolders) durable.clear();
  durable.insert(folder);
  return {};
}

Result<ObjectInfo> LocalObjectStore::Directory::Stat(const std::string& key) {
  const auto info = files.GetFileInfo(Path(key));
  if (!info.ok()) return ArrowError(info.status(), "an object cannot be looked up", key);
  if (info->type() != FileType::File) return Absent(key);
  return ObjectInfo{key, info->size(), ModifiedAt(*info)};
}

Status LocalObjectStore::Directory::Get(const std::string& key, ByteSink* sink) {
  MILLRACE_TRY(Stat(key));
  const auto file = files.OpenInputFile(Path(key));
  if (!file.ok()) {
    // Deleted since the Stat.
    if (arrow::internal::ErrnoFromStatus(file.status()) == ENOENT) return Absent(key);
    return ArrowError(file.status(), "an object cannot be opened", key);
  }
  // The file is immutable: a put replaces the name, so its size is that of what is open.
  const auto size = (*file)->GetSize();
  if (!size.ok()) return ArrowError(size.status(), "an object cannot be read", key);
  std::string bytes;
  for (int64_t at = 0; at < *size; at += static_cast<int64_t>(bytes.size())) {
    bytes.resize(std::min(kStreamPiece, static_cast<size_t>(*size - at)));
    const auto read = (*file)->ReadAt(at, static_cast<int64_t>(bytes.size()), bytes.data());
    if (!read.ok()) return ArrowError(read.status(), "an object cannot be read", key);
    if (*read != static_cast<int64_t>(bytes.size()))
      return Unavailable("an object shrank while it was read", {{"key", key}});
    MILLRACE_TRY(sink->Write(bytes));
  }
  return sink->Finish();
}

/// What comes first in a folder, by key: a folder in it by its name and '/'. `wanted` is asked for
/// each key below the root that this gives.
Result<std::vector<std::string>> LocalObjectStore::Directory::FirstIn(
    const std::string& folder, const std::function<bool(const std::string&)>& wanted) {
  std::set<std::string> first;
  std::error_code error;
  fs::directory_iterator at(Path(folder), error);
  for (; !error && at != fs::directory_iterator(); at.increment(error)) {
    std::error_code gone;
    std::string key = folder + at->path().filename().string();
    if (!CheckObjectKey(key).ok()) continue;
    if (at->is_directory(gone)) {
      key += '/';
    } else if (!at->is_regular_file(gone)) {
      continue;
    }
    if (!wanted(key)) continue;
    first.insert(std::move(key));
    if (first.size() > kMaxObjectsListed) first.erase(std::prev(first.end()));
  }
  if (error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory)
    error.clear();
  if (error) return SystemError("objects cannot be listed", error.value(), Path(folder));
  return std::vector<std::string>(first.begin(), first.end());
}

/// Adds what is below a folder to the listing, in order, until that is full.
Status LocalObjectStore::Directory::ListBelow(const std::string& folder, Listing* listing) {
  const std::string& prefix = listing->prefix;
  std::string last = listing->after;
  const auto wanted = [&](const std::string& key) {
    if (key.back() != '/') return key > last && key.starts_with(prefix);
    // A folder may hold something above what it is itself above.
    return (key > last || last.starts_with(key)) &&
           (key.starts_with(prefix) || prefix.starts_with(key));
  };
  for (;;) {
    MILLRACE_ASSIGN(const std::vector<std::string> keys, FirstIn(folder, wanted));
    for (const std::string& key : keys) {
      if (listing->full()) return {};
      if (key.back() == '/') {
        MILLRACE_TRY(ListBelow(key, listing));
        continue;
      }
      auto info = Stat(key);
      if (info.ok()) listing->found.push_back(std::move(*info));
      // It was deleted since.
      if (!info.ok() && info.error().code != Code::kNotFound) return info.error();
    }
    if (listing->full() || keys.size() < kMaxObjectsListed) return {};
    // All of the last one was seen: what is wanted next is above everything in it.
    last = keys.back();
    if (last.back() == '/') last.back() = '/' + 1;
  }
}

Result<std::vector<ObjectInfo>> LocalObjectStore::Directory::List(const std::string& prefix,
                                                                  const std::string& after,
                                                                  size_t limit) {
  Listing listing{prefix, after, std::min(limit, kMaxObjectsListed), {}};
  const size_t slash = prefix.rfind('/');
  MILLRACE_TRY(ListBelow(slash == prefix.npos ? "" : prefix.substr(0, slash + 1), &listing));
  if (listing.found.empty()) MILLRACE_TRY(CheckIsThere());
  return std::move(listing.found);
}

Result<std::vector<std::string>> LocalObjectStore::Directory::ListFolders(const std::string& prefix,
                                                                          const std::string& after,
                                                                          size_t limit) {
  limit = std::min(limit, kMaxObjectsListed);
  std::vector<std::string> found;
  std::string last = after;
  const auto wanted = [&](const std::string& key) { return key.back() == '/' && key > last; };
  for (;;) {
    MILLRACE_ASSIGN(const std::vector<std::string> keys, FirstIn(prefix, wanted));
    for (const std::string& key : keys) {
      if (found.size() == limit) return found;
      // A folder stays when its last object goes, and is none any more for who lists.
      Listing any{key, "", 1, {}};
      MILLRACE_TRY(ListBelow(key, &any));
      if (any.full()) found.push_back(key);
    }
    if (keys.size() < kMaxObjectsListed) break;
    last = keys.back();
  }
  if (found.empty()) MILLRACE_TRY(CheckIsThere());
  return found;
}

/// Open made the folder of temporary files. Where it is not there, neither is the store: a disk
/// that is not mounted shows an empty directory.
Status LocalObjectStore::Directory::CheckIsThere() {
  std::error_code error;
  if (fs::is_directory(Path(kTemporary), error)) return {};
  return Unavailable(
      "the object store's directory is gone or is another one: bring it back, or start the process "
      "again if it is to begin with an empty one",
      {{"directory", root}});
}

/// What a call gives for an object that it did not find.
Error LocalObjectStore::Directory::Absent(const std::string& key) {
  const Status there = CheckIsThere();
  if (!there.ok()) return there.error();
  return NotFound("no object has this key", {{"key", key}});
}

Status LocalObjectStore::Directory::Delete(const std::string& key) {
  if (unlink(Path(key).c_str()) == 0) return SyncFolder(fs::path(Path(key)).parent_path());
  if (errno == ENOENT || errno == ENOTDIR || errno == EISDIR) return CheckIsThere();
  return SystemError("an object cannot be deleted", errno, Path(key));
}

Result<std::unique_ptr<LocalObjectStore>> LocalObjectStore::Open(const std::string& directory) {
  std::error_code error;
  const fs::path root = fs::absolute(directory, error).lexically_normal();
  if (!error) fs::create_directories(root, error);
  if (!error) fs::remove_all(root / kTemporary, error);
  if (!error) fs::create_directory(root / kTemporary, error);
  if (error && MayPass(error.value()))
    return SystemError("the object store's directory cannot be made or written", error.value(),
                       directory);
  if (error)
    return InvalidArgument(
        "the object store's directory cannot be made or written: choose one that this user can "
        "write",
        {{"directory", directory}, {"error", error.message()}});
  std::string path = root.string();
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return std::unique_ptr<LocalObjectStore>(
      new LocalObjectStore(std::make_shared<Directory>(std::move(path))));
}

LocalObjectStore::LocalObjectStore(std::shared_ptr<Directory> directory)
    : directory_(std::move(directory)) {}

std::string LocalObjectStore::AddressOf(std::string_view key) const {
  return directory_->Path(std::string(key));
}

Task<Status> LocalObjectStore::Put(std::string key, Buffer data) {
  auto source = std::make_shared<BufferSource>(std::move(data));
  auto put = co_await PutFrom(std::move(key), std::move(source));
  co_return put;
}

Task<Result<Buffer>> LocalObjectStore::Get(std::string key) {
  auto sink = std::make_shared<StringSink>();
  MILLRACE_CO_TRY(co_await GetTo(std::move(key), sink));
  co_return Buffer::Own(std::move(sink->written));
}

Task<Status> LocalObjectStore::PutFrom(std::string key, std::shared_ptr<ByteSource> source) {
  MILLRACE_CO_TRY(CheckObjectKey(key));
  auto work = Offload([d = directory_, key, source] { return d->Put(key, source.get()); });
  auto status = co_await std::move(work);
  co_return status;
}

Task<Status> LocalObjectStore::GetTo(std::string key, std::shared_ptr<ByteSink> sink) {
  MILLRACE_CO_TRY(CheckObjectKey(key));
  auto work = Offload([d = directory_, key, sink] { return d->Get(key, sink.get()); });
  auto status = co_await std::move(work);
  co_return status;
}

Task<Result<ObjectInfo>> LocalObjectStore::Stat(std::string key) {
  MILLRACE_CO_TRY(CheckObjectKey(key));
  auto work = Offload([d = directory_, key] { return d->Stat(key); });
  auto info = co_await std::move(work);
  co_return info;
}

Task<Result<std::vector<ObjectInfo>>> LocalObjectStore::List(std::string prefix, std::string after,
                                                             size_t limit) {
  MILLRACE_CO_TRY(CheckObjectPrefix(prefix));
  auto work =
      Offload([d = directory_, prefix, after, limit] { return d->List(prefix, after, limit); });
  auto found = co_await std::move(work);
  co_return found;
}

Task<Result<std::vector<std::string>>> LocalObjectStore::ListFolders(std::string prefix,
                                                                     std::string after,
                                                                     size_t limit) {
  MILLRACE_CO_TRY(CheckObjectFolder(prefix));
  auto work = Offload(
      [d = directory_, prefix, after, limit] { return d->ListFolders(prefix, after, limit); });
  auto found = co_await std::move(work);
  co_return found;
}

Task<Status> LocalObjectStore::Delete(std::string key) {
  MILLRACE_CO_TRY(CheckObjectKey(key));
  auto work = Offload([d = directory_, key] { return d->Delete(key); });
  auto status = co_await std::move(work);
  co_return status;
}

}  // namespace millrace::objectstore_arrow
