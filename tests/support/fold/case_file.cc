#include "support/fold/case_file.h"

#include <simdjson.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <regex>

#include "millrace/model/row.h"
#include "millrace/sql/planner.h"

namespace millrace::fold {
namespace {

namespace ondemand = simdjson::ondemand;

/// What a `repeat` may be, so that a slip of the pen does not fill the memory.
constexpr int64_t kMaxRepeat = 10'000'000;
constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

/// One object of a case, read member by member; errors end with `place`.
class Members {
 public:
  Members(ondemand::object object, std::string place) : object_(object), place_(std::move(place)) {}

  void SetPlace(std::string place) { place_ = std::move(place); }

  Error Bad(std::string_view name, std::string_view wanted) const {
    return InvalidArgument(std::string(name) + " must be " + std::string(wanted) + place_);
  }

  /// There and not null.
  bool Has(const char* name) {
    return object_[name].error() != simdjson::NO_SUCH_FIELD && !IsNull(name);
  }
  bool IsNull(const char* name) {
    bool null = false;
    return object_[name].is_null().get(null) == simdjson::SUCCESS && null;
  }

  Result<int64_t> Integer(const char* name, int64_t least, std::string_view wanted) {
    int64_t v = 0;
    if (object_[name].get_int64().get(v) != simdjson::SUCCESS || v < least)
      return Bad(name, wanted);
    return v;
  }
  Result<int64_t> Time(const char* name) {
    return Integer(name, kMinusInfinity, "an integer of microseconds");
  }
  /// `otherwise` if it is absent or null.
  Result<int64_t> OptionalInteger(const char* name, int64_t otherwise, std::string_view wanted) {
    if (!Has(name)) return otherwise;
    return Integer(name, 0, wanted);
  }

  Result<std::string> Text(const char* name, std::string_view wanted = "a string") {
    std::string_view v;
    if (object_[name].get_string().get(v) != simdjson::SUCCESS) return Bad(name, wanted);
    return std::string(v);
  }

  Result<bool> Flag(const char* name) {
    bool v = false;
    if (Has(name) && object_[name].get_bool().get(v) != simdjson::SUCCESS)
      return Bad(name, "true or false");
    return v;
  }

  Result<ondemand::object> Object(const char* name) {
    ondemand::object v;
    if (object_[name].get_object().get(v) != simdjson::SUCCESS) return Bad(name, "an object");
    return v;
  }

  Result<ondemand::array> Array(const char* name) {
    ondemand::array v;
    if (object_[name].get_array().get(v) != simdjson::SUCCESS) return Bad(name, "a list");
    return v;
  }

 private:
  ondemand::object object_;
  std::string place_;
};

std::string_view Trim(std::string_view token) {
  const size_t last = token.find_last_not_of(" \t\r\n");
  return token.substr(0, last == token.npos ? 0 : last + 1);
}

/// A value as the case writes it, numbers digit by digit; empty if it is no JSON.
std::string Json(ondemand::value value) {
  static const std::regex number("-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?");
  ondemand::json_type type{};
  if (value.type().get(type) != simdjson::SUCCESS) return "";
  std::string_view nested;
  if (type == ondemand::json_type::array) {
    ondemand::array array;
    if (value.get_array().get(array) != simdjson::SUCCESS) return "";
    if (array.raw_json().get(nested) != simdjson::SUCCESS) return "";
  } else if (type == ondemand::json_type::object) {
    ondemand::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS) return "";
    if (object.raw_json().get(nested) != simdjson::SUCCESS) return "";
  }
  if (!nested.empty()) {
    const std::string text(nested);
    simdjson::dom::parser parser;
    return parser.parse(text).error() == simdjson::SUCCESS ? text : "";
  }
  const std::string token(Trim(value.raw_json_token()));
  bool good = token == "null" || token == "true" || token == "false";
  if (type == ondemand::json_type::number) good = std::regex_match(token, number);
  if (type == ondemand::json_type::string) good = value.get_string().error() == simdjson::SUCCESS;
  return good ? token : "";
}

/// A time column's value, which cases give in microseconds, as text. What no int64 holds is out of
/// the range of times as well; another JSON type stays wrong.
std::string TimeText(const std::string& json) {
  if (json == "null") return json;
  if (json.find_first_not_of("-0123456789") != json.npos) return "true";
  Micros t = 0;
  if (std::from_chars(json.data(), json.data() + json.size(), t).ec != std::errc())
    t = json.front() == '-' ? kMinusInfinity : kPlusInfinity;
  const std::string text = FormatTimestamp(std::clamp(t, kMinusInfinity + 1, kPlusInfinity - 1));
  // ISO 8601 wants a sign before years of more than four digits.
  return JsonQuote(text.find('-', 1) > 4 && text[0] != '-' ? "+" + text : text);
}

/// The JSON record of an event.
Result<std::string> Payload(const StreamSpec& stream, const Members& record,
                            ondemand::object values) {
  std::string out = "{";
  for (auto result : values) {
    ondemand::field field;
    std::string_view name;
    if (std::move(result).get(field) != simdjson::SUCCESS ||
        field.unescaped_key().get(name) != simdjson::SUCCESS) {
      return record.Bad("values", "an object");
    }
    bool is_time = false;
    for (const ColumnSpec& c : stream.columns)
      is_time |= c.name == name && c.type == Type::kTimestamp;
    if (out.size() > 1) out += ",";
    out += JsonQuote(name) + ":";
    const std::string json = Json(std::move(field).value());
    if (json.empty()) return record.Bad("values", "JSON");
    out += is_time ? TimeText(json) : json;
  }
  return out + "}";
}

Result<CaseEvent> ReadEvent(const StreamSpec& stream, Members& record) {
  constexpr std::string_view kSequence = "an integer from 0 to 2^63 - 1";
  CaseEvent event;
  if (record.Has("producer")) {
    MILLRACE_ASSIGN(std::string producer, record.Text("producer", "a string or null"));
    MILLRACE_ASSIGN(const int64_t seq, record.Integer("seq", 0, kSequence));
    event.identity = {std::move(producer), seq};
  } else if (record.Has("seq")) {
    return record.Bad("seq", "null where producer is");
  }
  MILLRACE_ASSIGN(event.acked_below, record.OptionalInteger("acked_below", 0, kSequence));
  if (record.Has("values") == record.Has("raw"))
    return record.Bad("an event", "either values or raw");
  if (record.Has("raw")) {
    MILLRACE_ASSIGN(event.payload, record.Text("raw"));
  } else {
    MILLRACE_ASSIGN(const auto values, record.Object("values"));
    MILLRACE_ASSIGN(event.payload, Payload(stream, record, values));
  }
  return event;
}

Result<CaseTick> ReadTick(Members& record) {
  CaseTick tick;
  if (record.Has("prev")) {
    MILLRACE_ASSIGN(tick.previous, record.Integer("prev", kMinusInfinity, "an offset or null"));
  }
  MILLRACE_ASSIGN(tick.elapsed, record.Time("elapsed"));
  return tick;
}

Result<CaseAdvance> ReadAdvance(Members& record) {
  constexpr std::string_view kWanted = "an integer of microseconds, or \"infinity\"";
  const auto text = record.Text("to");
  if (text.ok() && *text == "infinity") return CaseAdvance{kPlusInfinity};
  MILLRACE_ASSIGN(const int64_t to, record.Integer("to", kMinusInfinity, kWanted));
  return CaseAdvance{to};
}

Result<CaseRecord> ReadRecord(const StreamSpec& stream, Members& record, const std::string& place) {
  CaseRecord out;
  MILLRACE_ASSIGN(out.offset, record.Integer("offset", 0, "an integer from 0"));
  record.SetPlace(place + " offset=" + std::to_string(out.offset));
  MILLRACE_ASSIGN(out.append_time, record.Time("append_time"));
  MILLRACE_ASSIGN(const std::string kind, record.Text("kind"));
  if (kind == "event") {
    MILLRACE_ASSIGN(out.what, ReadEvent(stream, record));
  } else if (kind == "tick") {
    MILLRACE_ASSIGN(out.what, ReadTick(record));
  } else if (kind == "advance") {
    MILLRACE_ASSIGN(out.what, ReadAdvance(record));
  } else {
    return record.Bad("kind", "event, tick or advance, not " + JsonQuote(kind));
  }
  return out;
}

/// The records of the log, `repeat` of each.
Status ReadLog(ondemand::array log, Case* c) {
  int64_t expected = -1;
  size_t number = 0;
  for (auto result : log) {
    const std::string place = " record=" + std::to_string(++number);
    ondemand::object object;
    if (std::move(result).get_object().get(object) != simdjson::SUCCESS)
      return InvalidArgument("a record must be an object" + place);
    Members members(object, place);
    MILLRACE_ASSIGN(CaseRecord record, ReadRecord(c->stream, members, place));
    if (expected >= 0 && record.offset != expected)
      return members.Bad("offset", "one above the last: " + std::to_string(expected));
    int64_t repeat = 1;
    if (members.Has("repeat")) {
      MILLRACE_ASSIGN(repeat, members.Integer("repeat", 1, "an integer from 1"));
    }
    auto* event = std::get_if<CaseEvent>(&record.what);
    auto* identity = event != nullptr && event->identity ? &*event->identity : nullptr;
    const int64_t most = std::min(kMaxRepeat, kNoLimit - record.offset);
    if (repeat > most || (identity != nullptr && identity->second > kNoLimit - (repeat - 1)))
      return members.Bad("repeat", "smaller: offsets or sequences would run over");
    for (int64_t n = 0; n < repeat; ++n) {
      if (n > 0 && identity != nullptr) ++identity->second;
      if (record.offset >= c->start_offset) c->records.push_back(record);
      ++record.offset;
    }
    expected = record.offset;
  }
  return {};
}

Status ReadDefinition(Members& root, Case* c) {
  MILLRACE_ASSIGN(const std::string sql, root.Text("sql"));
  PlannerOptions options;
  options.any_grouping = true;
  MILLRACE_ASSIGN(const auto statements, PlanScript(sql, {}, options));
  const StreamSpec* stream =
      statements.size() == 2 ? std::get_if<StreamSpec>(&statements[0]) : nullptr;
  const PipelineSpec* pipeline =
      statements.size() == 2 ? std::get_if<PipelineSpec>(&statements[1]) : nullptr;
  if (stream == nullptr || pipeline == nullptr)
    return root.Bad("sql", "one CREATE TABLE, then one CREATE MATERIALIZED VIEW");
  c->stream = *stream;
  c->pipeline = *pipeline;
  MILLRACE_ASSIGN(const bool create_time, root.Flag("create_time"));
  c->stream.append_times = !create_time;
  if (root.Has("defined_at")) {
    MILLRACE_ASSIGN(const Micros defined_at, root.Time("defined_at"));
    if (c->pipeline.start == StartKind::kLatest) c->not_before = defined_at;
  }
  if (c->pipeline.start == StartKind::kTime) c->not_before = c->pipeline.start_time;
  MILLRACE_ASSIGN(c->start_offset, root.OptionalInteger("start_offset", 0, "an integer from 0"));
  return {};
}

}  // namespace

Result<Case> ReadCase(const std::string& path) {
  const std::string place = " file=" + path;
  const auto broken = [&](simdjson::error_code error) {
    return InvalidArgument(std::string("cannot read the case: ") + simdjson::error_message(error) +
                           place);
  };
  simdjson::padded_string text;
  if (const auto error = simdjson::padded_string::load(path).get(text)) return broken(error);
  ondemand::parser parser;
  ondemand::document document;
  if (const auto error = parser.iterate(text).get(document)) return broken(error);
  ondemand::object object;
  if (const auto error = document.get_object().get(object)) return broken(error);
  // All of it once, so that a broken end is seen too.
  for (auto field : object) {
    if (const auto error = field.error()) return broken(error);
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
    return broken(simdjson::TRAILING_CONTENT);
  document.rewind();
  if (const auto error = document.get_object().get(object)) return broken(error);

  Members root(object, place);
  if (!root.Has("records") && root.Has("partitions"))
    return Conflict("several partitions: two stages are not built yet");
  Case c;
  MILLRACE_TRY(ReadDefinition(root, &c));
  MILLRACE_ASSIGN(const auto log, root.Array("records"));
  MILLRACE_TRY(ReadLog(log, &c));
  return c;
}

}  // namespace millrace::fold
