#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace::ingest {

/// Largest request.
inline constexpr size_t kMaxRequestEvents = 10'000;
/// Payloads and keys of one request.
inline constexpr size_t kMaxRequestBytes = 8 << 20;
/// What a gateway validates and packs of a request in one go. 256 KiB of JSON, or 512 events, take
/// a few milliseconds at most.
inline constexpr size_t kSliceEvents = 512;
inline constexpr size_t kSliceBytes = 256 << 10;
/// One payload. With the raw payload kept beside its columns an event still fits into a block.
inline constexpr size_t kMaxEventBytes = 1'000'000;
inline constexpr size_t kMaxProducerIdBytes = 1'024;
/// sequence - acked_below is below it; what a shard remembers of a producer at most
/// (docs/semantics, rule 1).
inline constexpr int64_t kMaxSequenceSpan = 65'536;

}  // namespace millrace::ingest
