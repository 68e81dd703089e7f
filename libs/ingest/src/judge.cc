#include "judge.h"

#include "millrace/ingest/limits.h"
#include "millrace/model/row.h"

namespace millrace::ingest {
namespace {

Refusal Refuse(std::string reason, std::string message) {
  return std::make_shared<EventError>(
      EventError{Code::kInvalidArgument, std::move(reason), std::move(message), false});
}

/// What a message shows of a key: keys come from outside and may be long.
std::string Shown(std::string_view key) {
  constexpr size_t kMost = 64;
  return JsonQuote(key.substr(0, kMost)) + (key.size() > kMost ? "..." : "");
}

}  // namespace

Refusal JudgeSequence(int64_t first_sequence, size_t index, int64_t acked_below) {
  int64_t sequence = 0;
  const bool overflow =
      __builtin_add_overflow(first_sequence, static_cast<int64_t>(index), &sequence);
  // Both not negative, so the difference cannot overflow.
  if (!overflow && sequence >= 0 && acked_below >= 0 && sequence - acked_below < kMaxSequenceSpan)
    return nullptr;
  const std::string facts =
      " first_sequence=" + std::to_string(first_sequence) + " index=" + std::to_string(index) +
      " acked_below=" + std::to_string(acked_below) + " limit=" + std::to_string(kMaxSequenceSpan);
  if (overflow || sequence < 0 || acked_below < 0)
    return Refuse("SEQUENCE_SPAN", "sequences and acked_below lie in [0, 2^63)" + facts);
  return Refuse("SEQUENCE_SPAN",
                "the sequence is too far above acked_below; wait for the answers to earlier events "
                "and raise acked_below past what is settled" +
                    facts);
}

Refusal JudgePayload(const StreamSpec& stream, const Event& event, RecordParser* parser,
                     BatchBuilder* out) {
  if (event.payload.size() > kMaxEventBytes)
    return Refuse("EVENT_TOO_LARGE", "the event is larger than a stream takes bytes=" +
                                         std::to_string(event.payload.size()) +
                                         " limit=" + std::to_string(kMaxEventBytes));
  if (event.kind != PayloadKind::kJson)
    return Refuse(
        "UNREADABLE",
        "the stream takes events as JSON; send the payload as json stream=" + stream.name);
  const RecordParser::Verdict verdict = parser->Parse(event.payload, out);
  if (verdict.reason == Reason::kNone) return nullptr;
  return Refuse(std::string(ReasonName(verdict.reason)), verdict.detail + " stream=" + stream.name);
}

Refusal JudgeKey(const StreamSpec& stream, const Event& event, const std::string* canonical) {
  if (!event.key) return nullptr;
  if (canonical == nullptr)
    return Refuse("KEY_MISMATCH",
                  "the stream declares no partition_key, so events carry no key; leave it out "
                  "stream=" +
                      stream.name + " key=" + Shown(*event.key));
  if (*event.key == *canonical) return nullptr;
  return Refuse("KEY_MISMATCH",
                "the key is not the text of the partition_key column; leave it out or send that "
                "text column=" +
                    stream.columns[static_cast<size_t>(stream.partition_key)].name +
                    " value=" + Shown(*canonical) + " key=" + Shown(*event.key));
}

}  // namespace millrace::ingest
