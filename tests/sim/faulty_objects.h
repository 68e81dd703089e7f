#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "millrace/objectstore/object_store.h"
#include "sim/network.h"

namespace millrace::sim {

/// An object store behind a link. It outlives the network.
class FaultyObjectStore : public ObjectStore {
 public:
  FaultyObjectStore(ObjectStore* inner, Network* network, const Faults* faults)
      : inner_(inner), link_(network, faults) {}

  Link& link() { return link_; }

  std::string AddressOf(std::string_view key) const override { return inner_->AddressOf(key); }
  Task<Status> Put(std::string key, Buffer data) override {
    const std::function<Task<Status>()> put = [this, key, data]() -> Task<Status> {
      return PutHere(key, data);
    };
    auto r = co_await link_.Change(put);
    co_return r;
  }
  Task<Result<Buffer>> Get(std::string key) override {
    MILLRACE_CO_TRY(co_await link_.Question());
    auto r = co_await inner_->Get(std::move(key));
    co_return r;
  }
  /// What was read of the source is put, however often.
  Task<Status> PutFrom(std::string key, std::shared_ptr<ByteSource> source) override {
    std::string bytes;
    for (;;) {
      MILLRACE_CO_ASSIGN(const std::string piece, source->Read(kPiece));
      if (piece.empty()) break;
      bytes += piece;
    }
    auto r = co_await Put(std::move(key), Buffer::Own(std::move(bytes)));
    co_return r;
  }
  Task<Status> GetTo(std::string key, std::shared_ptr<ByteSink> sink) override {
    MILLRACE_CO_TRY(co_await link_.Question());
    auto r = co_await inner_->GetTo(std::move(key), std::move(sink));
    co_return r;
  }
  Task<Result<ObjectInfo>> Stat(std::string key) override {
    MILLRACE_CO_TRY(co_await link_.Question());
    auto r = co_await inner_->Stat(std::move(key));
    co_return r;
  }
  Task<Result<std::vector<ObjectInfo>>> List(std::string prefix, std::string after,
                                             size_t limit) override {
    MILLRACE_CO_TRY(co_await link_.Question());
    auto r = co_await inner_->List(std::move(prefix), std::move(after), limit);
    co_return r;
  }
  Task<Result<std::vector<std::string>>> ListFolders(std::string prefix, std::string after,
                                                     size_t limit) override {
    MILLRACE_CO_TRY(co_await link_.Question());
    auto r = co_await inner_->ListFolders(std::move(prefix), std::move(after), limit);
    co_return r;
  }
  Task<Status> Delete(std::string key) override {
    const std::function<Task<Status>()> remove = [store = inner_, key] {
      return store->Delete(key);
    };
    auto r = co_await link_.Change(remove);
    co_return r;
  }
  /// From now on no object is put whose key holds this text; empty: all are.
  void Refuse(std::string text) {
    refused_ = std::move(text);
    refusals_ = 0;
  }
  int refusals() const { return refusals_; }
  /// Of all objects put whose key holds this text.
  size_t put_bytes(const std::string& text) const {
    size_t bytes = 0;
    for (const auto& [key, sizes] : puts_) {
      if (key.find(text) == key.npos) continue;
      for (const size_t size : sizes) bytes += size;
    }
    return bytes;
  }
  size_t largest_put(const std::string& text) const {
    size_t bytes = 0;
    for (const auto& [key, sizes] : puts_) {
      if (key.find(text) == key.npos) continue;
      for (const size_t size : sizes) bytes = std::max(bytes, size);
    }
    return bytes;
  }

 private:
  static constexpr size_t kPiece = 1 << 16;

  Task<Status> PutHere(std::string key, Buffer data) {
    if (!refused_.empty() && key.find(refused_) != key.npos) {
      ++refusals_;
      co_return Unavailable("injected: the object store takes no such object");
    }
    puts_[key].push_back(data.bytes.size());
    auto r = co_await inner_->Put(std::move(key), std::move(data));
    co_return r;
  }

  ObjectStore* inner_;
  Link link_;
  std::map<std::string, std::vector<size_t>> puts_;
  std::string refused_;
  int refusals_ = 0;
};

}  // namespace millrace::sim
