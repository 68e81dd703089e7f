#include "millrace/objectstore/in_memory_object_store.h"

#include <algorithm>

#include "millrace/base/executor.h"
#include "millrace/base/facts.h"
#include "millrace/objectstore/object_key.h"

namespace millrace {

std::string InMemoryObjectStore::AddressOf(std::string_view key) const {
  return "memory:" + std::string(key);
}
namespace {

Error NoSuchObject(const std::string& key) {
  return NotFound("no object has this key", {{"key", key}});
}

}  // namespace

ObjectInfo InMemoryObjectStore::InfoOf(const std::string& key, const Object& object) {
  return {key, static_cast<int64_t>(object.data.bytes.size()), object.modified};
}

/// Refuses what a store over files must refuse.
Status InMemoryObjectStore::CheckPlace(const std::string& key) const {
  const auto below = objects_.lower_bound(key + "/");
  if (below != objects_.end() && below->first.starts_with(key + "/"))
    return InvalidArgument("an object's key is a folder of other objects", {{"key", key}});
  for (size_t slash = key.find('/'); slash != key.npos; slash = key.find('/', slash + 1))
    if (objects_.contains(key.substr(0, slash)))
      return InvalidArgument("a folder of an object's key is an object", {{"key", key}});
  return {};
}

Task<Status> InMemoryObjectStore::Put(std::string key, Buffer data) {
  MILLRACE_CO_TRY(CheckObjectKey(key));
  MILLRACE_CO_TRY(CheckPlace(key));
  // A copy: the caller's buffer may view more than the object.
  Buffer copy = Buffer::Own(std::string(data.bytes));
  objects_[std::move(key)] = {std::move(copy), Executor::Current().Wall()};
  co_return Status();
}

Task<Result<Buffer>> InMemoryObjectStore::Get(std::string key) {
  MILLRACE_CO_TRY(CheckObjectKey(key));
  const auto it = objects_.find(key);
  if (it == objects_.end()) co_return NoSuchObject(key);
  co_return it->second.data;
}

Task<Status> InMemoryObjectStore::PutFrom(std::string key, std::shared_ptr<ByteSource> source) {
  MILLRACE_CO_TRY(CheckObjectKey(key));
  std::string bytes;
  for (;;) {
    MILLRACE_CO_ASSIGN(const std::string piece, source->Read(kStreamPiece));
    if (piece.empty()) break;
    bytes += piece;
  }
  auto put = co_await Put(std::move(key), Buffer::Own(std::move(bytes)));
  co_return put;
}

Task<Status> InMemoryObjectStore::GetTo(std::string key, std::shared_ptr<ByteSink> sink) {
  MILLRACE_CO_ASSIGN(const Buffer data, co_await Get(std::move(key)));
  MILLRACE_CO_TRY(sink->Write(data.bytes));
  co_return sink->Finish();
}

Task<Result<ObjectInfo>> InMemoryObjectStore::Stat(std::string key) {
  MILLRACE_CO_TRY(CheckObjectKey(key));
  const auto it = objects_.find(key);
  if (it == objects_.end()) co_return NoSuchObject(key);
  co_return InfoOf(key, it->second);
}

Task<Result<std::vector<ObjectInfo>>> InMemoryObjectStore::List(std::string prefix,
                                                                std::string after, size_t limit) {
  MILLRACE_CO_TRY(CheckObjectPrefix(prefix));
  limit = std::min(limit, kMaxObjectsListed);
  std::vector<ObjectInfo> found;
  auto it = after < prefix ? objects_.lower_bound(prefix) : objects_.upper_bound(after);
  for (; it != objects_.end() && it->first.starts_with(prefix) && found.size() < limit; ++it)
    found.push_back(InfoOf(it->first, it->second));
  co_return found;
}

Task<Result<std::vector<std::string>>> InMemoryObjectStore::ListFolders(std::string prefix,
                                                                        std::string after,
                                                                        size_t limit) {
  MILLRACE_CO_TRY(CheckObjectFolder(prefix));
  limit = std::min(limit, kMaxObjectsListed);
  std::vector<std::string> found;
  auto it = objects_.lower_bound(prefix);
  while (it != objects_.end() && it->first.starts_with(prefix) && found.size() < limit) {
    const size_t slash = it->first.find('/', prefix.size());
    if (slash == std::string::npos) {
      ++it;
      continue;
    }
    std::string folder = it->first.substr(0, slash + 1);
    // The first key that no longer begins with the folder.
    std::string behind = folder;
    behind.back() = '/' + 1;
    if (folder > after) found.push_back(std::move(folder));
    it = objects_.lower_bound(behind);
  }
  co_return found;
}

Task<Status> InMemoryObjectStore::Delete(std::string key) {
  MILLRACE_CO_TRY(CheckObjectKey(key));
  objects_.erase(key);
  co_return Status();
}

}  // namespace millrace
