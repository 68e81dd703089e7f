#include "support/fold/case_file.h"

#include <simdjson.h>

#include "millrace/model/row.h"
#include "millrace/sql/planner.h"

namespace millrace::fold {
namespace {

using simdjson::dom::element;
using simdjson::dom::object;

int64_t Integer(object o, const char* name, int64_t absent) {
  int64_t v = absent;
  return o[name].get(v) == simdjson::SUCCESS ? v : absent;
}

std::string Text(object o, const char* name) {
  std::string_view v;
  return o[name].get(v) == simdjson::SUCCESS ? std::string(v) : std::string();
}

/// The JSON record of an event: times, which cases give in microseconds, become text; of another
/// JSON type they stay wrong.
std::string Payload(const StreamSpec& stream, object values) {
  std::string json = "{";
  for (const auto [name, value] : values) {
    if (json.size() > 1) json += ",";
    json += JsonQuote(name) + ":";
    bool is_time = false;
    for (const ColumnSpec& c : stream.columns)
      is_time |= c.name == name && c.type == Type::kTimestamp;
    int64_t t = 0;
    if (!is_time || value.is_null()) {
      json += simdjson::minify(value);
    } else if (value.get(t) == simdjson::SUCCESS) {
      // ISO 8601 wants a sign before years of more than four digits.
      const std::string text = FormatTimestamp(t);
      json += JsonQuote(text.find('-', 1) > 4 && text[0] != '-' ? "+" + text : text);
    } else {
      json += "true";
    }
  }
  return json + "}";
}

CaseEvent ReadEvent(const StreamSpec& stream, object o) {
  CaseEvent event;
  std::string_view producer;
  if (o["producer"].get(producer) == simdjson::SUCCESS)
    event.identity = {std::string(producer), Integer(o, "seq", 0)};
  event.acked_below = Integer(o, "acked_below", 0);
  object values;
  event.payload =
      o["values"].get(values) == simdjson::SUCCESS ? Payload(stream, values) : Text(o, "raw");
  return event;
}

Result<CaseRecord> ReadRecord(const StreamSpec& stream, object o) {
  CaseRecord record;
  record.offset = Integer(o, "offset", -1);
  record.append_time = Integer(o, "append_time", 0);
  const std::string kind = Text(o, "kind");
  if (kind == "event") {
    record.what = ReadEvent(stream, o);
  } else if (kind == "tick") {
    record.what = CaseTick{Integer(o, "prev", -1), Integer(o, "elapsed", 0)};
  } else if (kind == "advance") {
    record.what = CaseAdvance{Integer(o, "to", kPlusInfinity)};
  } else {
    return InvalidArgument("a record of no known kind kind=" + kind);
  }
  return record;
}

}  // namespace

Result<Case> ReadCase(const std::string& path) {
  simdjson::dom::parser parser;
  object root;
  if (const auto error = parser.load(path).get(root)) {
    return InvalidArgument("cannot read the case: " + std::string(simdjson::error_message(error)) +
                           " file=" + path);
  }
  simdjson::dom::array records;
  if (root["records"].get(records) != simdjson::SUCCESS) {
    return Conflict("several partitions: two stages are not built yet");
  }
  PlannerOptions options;
  options.any_grouping = true;
  MILLRACE_ASSIGN(const auto statements, PlanScript(Text(root, "sql"), {}, options));
  Case c;
  for (const Statement& s : statements) {
    if (const auto* stream = std::get_if<StreamSpec>(&s)) c.stream = *stream;
    if (const auto* pipeline = std::get_if<PipelineSpec>(&s)) c.pipeline = *pipeline;
  }
  bool create_time = false;
  c.stream.append_times = root["create_time"].get(create_time) != simdjson::SUCCESS || !create_time;
  if (c.pipeline.start == StartKind::kLatest)
    c.not_before = Integer(root, "defined_at", kMinusInfinity);
  if (c.pipeline.start == StartKind::kTime) c.not_before = c.pipeline.start_time;
  c.start_offset = Integer(root, "start_offset", 0);
  for (const object o : records) {
    MILLRACE_ASSIGN(CaseRecord record, ReadRecord(c.stream, o));
    for (int64_t n = Integer(o, "repeat", 1); n > 0; --n) {
      if (record.offset >= c.start_offset) c.records.push_back(record);
      ++record.offset;
      if (auto* event = std::get_if<CaseEvent>(&record.what); event != nullptr && event->identity) {
        ++event->identity->second;
      }
    }
  }
  return c;
}

}  // namespace millrace::fold
