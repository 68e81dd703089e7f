#include "millrace/runtime/data_records.h"

#include <charconv>

#include "millrace/record/v1/control.pb.h"

namespace millrace::runtime {
namespace {

LogEntry Entry(const record::v1::Control& control) {
  return {{}, control.SerializeAsString(), {{std::string(kControlHeader), "1"}}};
}

const std::string* Header(const LogRecord& record, std::string_view name) {
  for (const LogHeader& h : record.headers) {
    if (h.name == name) return &h.value;
  }
  return nullptr;
}

bool ParseNumber(const std::string& text, int64_t* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size() && *out >= 0;
}

}  // namespace

LogEntry EncodeTick(const Tick& tick) {
  record::v1::Control control;
  control.mutable_tick()->set_previous(tick.previous.value);
  control.mutable_tick()->set_elapsed_us(tick.elapsed);
  return Entry(control);
}

LogEntry EncodeAdvance(Micros to) {
  record::v1::Control control;
  control.mutable_advance()->set_to_us(to);
  return Entry(control);
}

bool IsControl(const LogRecord& record) { return Header(record, kControlHeader) != nullptr; }

Result<LogItem> DecodeControl(const LogRecord& record) {
  record::v1::Control control;
  if (!control.ParseFromArray(record.value.data(), static_cast<int>(record.value.size()))) {
    return Corruption("a control record in a data partition does not parse");
  }
  if (control.has_tick()) {
    return LogItem(Tick{record.offset, record.append_time, Offset(control.tick().previous()),
                        control.tick().elapsed_us()});
  }
  if (control.has_advance())
    return LogItem(Advance{record.offset, record.append_time, control.advance().to_us()});
  return Corruption(
      "a control record in a data partition is of a kind that this version does not know");
}

Result<std::optional<RecordSender>> SenderOf(const LogRecord& record) {
  const std::string* principal = Header(record, "millrace-principal");
  const std::string* producer = Header(record, "millrace-producer");
  const std::string* sequence = Header(record, "millrace-seq");
  const std::string* acked = Header(record, "millrace-acked-below");
  if (principal == nullptr && producer == nullptr && sequence == nullptr)
    return std::optional<RecordSender>();
  RecordSender sender;
  if (principal == nullptr || producer == nullptr || sequence == nullptr ||
      !ParseNumber(*sequence, &sender.sequence) ||
      (acked != nullptr && !ParseNumber(*acked, &sender.acked_below))) {
    return Corruption(
        "the millrace-* headers of a record do not name a principal, a producer and a sequence");
  }
  sender.principal = *principal;
  sender.producer = *producer;
  return std::optional(std::move(sender));
}

}  // namespace millrace::runtime
