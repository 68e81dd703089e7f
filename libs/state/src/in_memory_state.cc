#include "millrace/state/in_memory_state.h"

#include <map>

#include "millrace/base/facts.h"
#include "millrace/base/hash.h"

namespace millrace {
namespace {

constexpr size_t kFiles = 4;

std::string FileName(size_t i) { return "part-" + std::to_string(i); }

/// Files on their way into a state.
using Files = std::map<std::string, std::string>;

class FileSink : public ByteSink {
 public:
  FileSink(StateFile file, std::shared_ptr<Files> files)
      : file_(std::move(file)), files_(std::move(files)) {}

  Status Write(std::string_view bytes) override {
    bytes_.append(bytes);
    return {};
  }
  Status Finish() override {
    if (static_cast<int64_t>(bytes_.size()) != file_.size || Crc32c(bytes_) != file_.crc32c)
      return Corruption("a state file is damaged", {{"name", file_.name}});
    (*files_)[file_.name] = std::move(bytes_);
    return {};
  }

 private:
  const StateFile file_;
  const std::shared_ptr<Files> files_;
  std::string bytes_;
};

class InMemoryState : public StateStore {
 public:
  Task<Status> Apply(StateBatch batch) override {
    for (const auto& [begin, end] : batch.delete_ranges) {
      if (begin < end) entries_.erase(entries_.lower_bound(begin), entries_.lower_bound(end));
    }
    for (auto& [key, value] : batch.puts) entries_[std::move(key)] = std::move(value);
    co_return Status();
  }

  Task<Result<std::vector<StateFile>>> Freeze() override {
    std::string bytes[kFiles];
    for (const auto& [key, value] : entries_) {
      ByteWriter w(&bytes[Hash(key).lo % kFiles]);
      w.Text(key);
      w.Text(value);
    }
    frozen_.clear();
    std::vector<StateFile> files;
    for (size_t i = 0; i < kFiles; ++i) {
      const Hash128 hash = Hash(bytes[i], i);
      std::string identity;
      ByteWriter w(&identity);
      w.Fixed(hash.lo);
      w.Fixed(hash.hi);
      files.push_back(
          {FileName(i), Hex(identity), static_cast<int64_t>(bytes[i].size()), Crc32c(bytes[i])});
      frozen_[FileName(i)] = Buffer::Own(std::move(bytes[i]));
    }
    co_return files;
  }

  Task<Result<std::shared_ptr<ByteSource>>> ReadFile(std::string name) override {
    const auto it = frozen_.find(name);
    if (it == frozen_.end())
      co_return NotFound("no frozen state file has this name", {{"name", name}});
    co_return std::shared_ptr<ByteSource>(std::make_shared<BufferSource>(it->second));
  }

  Task<Status> BeginRestore() override {
    entries_.clear();
    frozen_.clear();
    restoring_ = std::make_shared<Files>();
    co_return Status();
  }

  Task<Result<std::shared_ptr<ByteSink>>> RestoreFile(StateFile file) override {
    co_return std::shared_ptr<ByteSink>(std::make_shared<FileSink>(std::move(file), restoring_));
  }

  Task<Status> FinishRestore() override {
    const std::shared_ptr<Files> files = std::exchange(restoring_, nullptr);
    std::map<std::string, std::string> entries;
    if (!files->empty() && files->size() != kFiles)
      co_return Corruption("files of a state are missing");
    for (const auto& [name, bytes] : *files) {
      ByteReader r(bytes);
      while (r.ok() && !r.done()) {
        std::string key(r.Text());
        entries[std::move(key)] = r.Text();
      }
      if (!r.ok()) co_return Corruption("a state file does not decode", {{"name", name}});
    }
    entries_ = std::move(entries);
    co_return Status();
  }

  Task<Result<std::vector<std::pair<std::string, std::string>>>> Scan(std::string from,
                                                                      size_t limit) override {
    std::vector<std::pair<std::string, std::string>> found;
    for (auto it = entries_.lower_bound(from); it != entries_.end() && found.size() < limit; ++it)
      found.emplace_back(*it);
    co_return found;
  }

 private:
  std::map<std::string, std::string> entries_;
  std::map<std::string, Buffer> frozen_;
  std::shared_ptr<Files> restoring_;
};

}  // namespace

Task<Result<std::unique_ptr<StateStore>>> InMemoryStates::Open(std::string /*shard*/) {
  co_return std::unique_ptr<StateStore>(std::make_unique<InMemoryState>());
}

Task<Status> InMemoryStates::Remove(std::string /*shard*/) { co_return Status(); }

}  // namespace millrace
