#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "millrace/ingest/publish.h"
#include "millrace/model/batch_builder.h"
#include "millrace/model/spec.h"
#include "millrace/record/record_parser.h"

namespace millrace::ingest {

/// Why an event is refused, or nullptr.
using Refusal = std::shared_ptr<const EventError>;

/// SEQUENCE_SPAN: `sequence` is not of [acked_below, acked_below + kMaxSequenceSpan) from above, or
/// a number is negative. Lower sequences pass: they are repeats, which shards drop.
Refusal JudgeSequence(int64_t first_sequence, size_t index, int64_t acked_below);

/// EVENT_TOO_LARGE, or what the parser finds. If nullptr, the columns of `out` hold the event as an
/// unfinished row.
Refusal JudgePayload(const StreamSpec& stream, const Event& event, RecordParser* parser,
                     BatchBuilder* out);

/// KEY_MISMATCH: the event names a key and it is not `canonical`, the text of the stream's
/// partition_key column (nullptr: it has none).
Refusal JudgeKey(const StreamSpec& stream, const Event& event, const std::string* canonical);

}  // namespace millrace::ingest
