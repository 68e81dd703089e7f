#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "millrace/base/executor.h"

namespace millrace::ingest {

/// Hashes seen lately: of those that come again now and then, at least the last `limit` different
/// ones, and never more than twice as many. Takes memory for what it holds.
class RecentHashes {
 public:
  explicit RecentHashes(size_t limit) : limit_(limit) {}

  /// Whether it was seen lately. It then has been seen just now.
  bool Seen(uint64_t hash);
  void Remember(uint64_t hash);
  size_t size() const { return current_.size + previous_.size; }

 private:
  /// Open addressing, half full at most; 0 is an empty slot.
  struct Set {
    std::vector<uint64_t> slots;
    size_t size = 0;

    bool Has(uint64_t hash) const;
    void Insert(uint64_t hash);
  };

  size_t limit_;
  Set current_;
  Set previous_;
};

/// Bounds the producers that come new to a stream, since every shard of it remembers each for seven
/// days: so many at once, and then one more each time that `interval` has passed.
class ProducerBound {
 public:
  struct Limits {
    int64_t burst = 0;
    std::chrono::milliseconds interval{0};
    size_t known = 0;  ///< producers that a gateway recognizes (RecentHashes)
  };

  explicit ProducerBound(const Limits& limits) : limits_(limits), known_(limits.known) {}

  /// Takes a request of this producer. If it is not known and no new one may come yet, gives the
  /// time until one may.
  std::optional<std::chrono::milliseconds> Take(std::string_view principal, std::string_view id,
                                                Executor::Duration now);

 private:
  Limits limits_;
  RecentHashes known_;
  /// When the whole burst is there again.
  Executor::Duration full_at_{};
};

}  // namespace millrace::ingest
