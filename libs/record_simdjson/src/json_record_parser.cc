#include "millrace/record_simdjson/json_record_parser.h"

#include <simdjson.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "scalar.h"

namespace millrace::record_simdjson {
namespace {

namespace ondemand = simdjson::ondemand;

/// Far beyond any event, far below any stack.
constexpr int kMaxDepth = 64;

std::string_view Trim(std::string_view token) {
  while (!token.empty() && (token.back() == ' ' || token.back() == '\n' || token.back() == '\r' ||
                            token.back() == '\t')) {
    token.remove_suffix(1);
  }
  return token;
}

/// At most 64 bytes, cut between characters.
std::string_view Excerpt(std::string_view s) {
  if (s.size() <= 64) return s;
  size_t n = 64;
  while (n > 0 && (static_cast<uint8_t>(s[n]) & 0xc0) == 0x80) --n;
  return s.substr(0, n);
}

std::string_view Expected(Type type) {
  switch (type) {
    case Type::kInt:
      return "an integer from -2147483648 to 2147483647";
    case Type::kBigint:
      return "an integer of 64 bits";
    case Type::kDouble:
      return "a number in the range of doubles";
    case Type::kText:
      return "a string";
    case Type::kBool:
      return "true or false";
    default:
      return "a string with an RFC 3339 time and zone, such as 2001-01-01T00:00:00Z";
  }
}

class JsonRecordParser : public RecordParser {
 public:
  explicit JsonRecordParser(const StreamSpec& stream) : event_time_(stream.event_time) {
    for (const ColumnSpec& c : stream.columns) {
      // Names that JSON may not write plainly are compared after unescaping only.
      const bool plain =
          c.name.find_first_of("\"\\") == c.name.npos && c.name.find('\0') == c.name.npos;
      slots_.push_back({State::kAbsent, c.type, c.not_null, {}, 0, 0});
      names_.push_back({c.name, 0, 0, plain});
      // With its closing quote, so that one comparison is enough for short names.
      const std::string quoted = c.name + '"';
      const size_t head = std::min<size_t>(quoted.size(), sizeof(uint64_t));
      std::memcpy(&names_.back().head, quoted.data(), head);
      names_.back().mask = head == sizeof(uint64_t) ? ~uint64_t{0} : (uint64_t{1} << 8 * head) - 1;
    }
  }

  Verdict Parse(std::string_view payload, BatchBuilder* out) override;

 private:
  enum class State : uint8_t { kAbsent, kNull, kValue, kWrongType, kOutOfRange };

  /// What an event says about a column.
  struct Slot {
    State state;
    Type type;
    bool not_null;
    /// The text value; of a wrong one, its token.
    std::string_view text;
    int64_t integer;
    double real;
  };
  struct Name {
    std::string text;
    uint64_t head;  ///< its first bytes, and the quote behind it if that is among the first eight
    uint64_t mask;
    bool plain;
  };

  /// Each gives nullptr, or why the payload is unreadable.
  const char* Walk(std::string_view payload);
  const char* Take(ondemand::value value, Slot* slot);
  const char* Check(ondemand::value value, int depth);
  /// The string of a token that starts with a quote, unescaped. False: a broken escape.
  static bool String(ondemand::value& value, std::string_view token, std::string_view* out);

  const char* Find(ondemand::field& field, size_t guess, Slot** slot);
  void TakeNumber(std::string_view token, Slot* slot);
  void TakeString(std::string_view text, Slot* slot);
  Verdict Judge() const;
  static void Append(const Slot& slot, ColumnData* column);

  const int32_t event_time_;
  std::vector<Slot> slots_;
  std::vector<Name> names_;
  ondemand::parser parser_;
  std::string padded_;
};

RecordParser::Verdict JsonRecordParser::Parse(std::string_view payload, BatchBuilder* out) {
  for (Slot& s : slots_) s.state = State::kAbsent;
  if (const char* why = Walk(payload)) {
    return {Reason::kUnreadable, std::string("expected one JSON object: ") + why};
  }
  Verdict verdict = Judge();
  if (verdict.reason != Reason::kNone) return verdict;
  auto& columns = out->columns();
  for (size_t i = 0; i < slots_.size(); ++i) Append(slots_[i], &columns[i]);
  return verdict;
}

const char* JsonRecordParser::Walk(std::string_view payload) {
  if (payload.empty()) return "the payload is empty";
  if (padded_.size() < payload.size() + simdjson::SIMDJSON_PADDING) {
    const size_t room = std::max<size_t>(4096, payload.size() * 2);
    padded_.assign(room + simdjson::SIMDJSON_PADDING, ' ');
    if (parser_.allocate(room) != simdjson::SUCCESS) return "it is too large";
  }
  std::memcpy(padded_.data(), payload.data(), payload.size());
  ondemand::document document;
  if (const auto error =
          parser_.iterate(padded_.data(), payload.size(), padded_.size()).get(document)) {
    return simdjson::error_message(error);
  }
  ondemand::object object;
  if (document.get_object().get(object) != simdjson::SUCCESS) return "this is none";
  size_t guess = 0;
  for (auto result : object) {
    ondemand::field field;
    if (const auto error = std::move(result).get(field)) return simdjson::error_message(error);
    Slot* slot = nullptr;
    if (const char* why = Find(field, guess, &slot)) return why;
    if (slot == nullptr) {
      if (const char* why = Check(std::move(field).value(), 2)) return why;
      continue;
    }
    guess = static_cast<size_t>(slot - slots_.data()) + 1;
    if (const char* why = Take(std::move(field).value(), slot)) return why;
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
    return "something follows the object";
  return nullptr;
}

const char* JsonRecordParser::Find(ondemand::field& field, size_t guess, Slot** slot) {
  const char* raw = field.key().raw();
  uint64_t head = 0;
  std::memcpy(&head, raw, sizeof head);
  const auto matches = [&](const Name& n) {
    if ((head & n.mask) != n.head || !n.plain) return false;
    if (n.text.size() < sizeof head) return true;
    const auto left = static_cast<size_t>(padded_.data() + padded_.size() - raw);
    return n.text.size() < left && std::memcmp(raw, n.text.data(), n.text.size()) == 0 &&
           raw[n.text.size()] == '"';
  };
  // Members usually come in the order of the columns.
  if (guess < names_.size() && matches(names_[guess])) {
    *slot = &slots_[guess];
    return nullptr;
  }
  for (size_t i = 0; i < names_.size(); ++i) {
    if (matches(names_[i])) {
      *slot = &slots_[i];
      return nullptr;
    }
  }
  const char* end = raw;
  while (*end != '"' && *end != '\\') ++end;
  if (*end == '"') return nullptr;
  std::string_view key;
  if (field.unescaped_key().get(key) != simdjson::SUCCESS) return "a broken escape in a name";
  for (size_t i = 0; i < names_.size(); ++i)
    if (names_[i].text == key) *slot = &slots_[i];
  return nullptr;
}

bool JsonRecordParser::String(ondemand::value& value, std::string_view token,
                              std::string_view* out) {
  *out = token.substr(1, token.size() - 2);
  if (out->find('\\') != out->npos) return value.get_string().get(*out) == simdjson::SUCCESS;
  // Consumed, or simdjson would take it for a name if a colon follows.
  return value.get_raw_json_string().error() == simdjson::SUCCESS;
}

const char* JsonRecordParser::Take(ondemand::value value, Slot* slot) {
  const std::string_view token = Trim(value.raw_json_token());
  if (token.empty()) return "it ends early";
  slot->state = State::kWrongType;
  slot->text = token;
  switch (token.front()) {
    case '"': {
      std::string_view text;
      if (!String(value, token, &text)) return "a broken escape in a string";
      TakeString(text, slot);
      return nullptr;
    }
    case 't':
    case 'f':
      if (token != "true" && token != "false") return "a value that is not JSON";
      if (slot->type != Type::kBool) return nullptr;
      slot->integer = token.front() == 't' ? 1 : 0;
      slot->state = State::kValue;
      return nullptr;
    case 'n':
      if (token != "null") return "a value that is not JSON";
      slot->state = State::kNull;
      return nullptr;
    case '{':
    case '[':
      return Check(value, 2);
    default:
      TakeNumber(token, slot);
      return slot->state == State::kWrongType && !IsNumber(token) ? "a value that is not JSON"
                                                                  : nullptr;
  }
}

void JsonRecordParser::TakeNumber(std::string_view token, Slot* slot) {
  Parsed parsed = Parsed::kNo;
  if (slot->type == Type::kInt) {
    parsed = ParseInteger(token, std::numeric_limits<int32_t>::min(),
                          std::numeric_limits<int32_t>::max(), &slot->integer);
  } else if (slot->type == Type::kBigint) {
    parsed = ParseInteger(token, std::numeric_limits<int64_t>::min(),
                          std::numeric_limits<int64_t>::max(), &slot->integer);
  } else if (slot->type == Type::kDouble && IsNumber(token)) {
    parsed = ParseDouble(token, &slot->real);
  }
  if (parsed == Parsed::kOk) slot->state = State::kValue;
}

void JsonRecordParser::TakeString(std::string_view text, Slot* slot) {
  Parsed parsed = Parsed::kNo;
  switch (slot->type) {
    case Type::kText:
      slot->text = text;
      parsed = Parsed::kOk;
      break;
    case Type::kTimestamp:
      parsed = ParseTime(text, &slot->integer);
      if (parsed == Parsed::kOutOfRange && slot == &slots_[static_cast<size_t>(event_time_)])
        slot->state = State::kOutOfRange;
      break;
    case Type::kBigint:
      parsed = ParseInteger(text, std::numeric_limits<int64_t>::min(),
                            std::numeric_limits<int64_t>::max(), &slot->integer);
      break;
    case Type::kDouble:
      parsed = Parsed::kOk;
      if (text == "NaN") {
        slot->real = std::numeric_limits<double>::quiet_NaN();
      } else if (text == "Infinity") {
        slot->real = std::numeric_limits<double>::infinity();
      } else if (text == "-Infinity") {
        slot->real = -std::numeric_limits<double>::infinity();
      } else {
        parsed = Parsed::kNo;
      }
      break;
    default:
      break;
  }
  if (parsed == Parsed::kOk) slot->state = State::kValue;
}

const char* JsonRecordParser::Check(ondemand::value value, int depth) {
  const std::string_view token = Trim(value.raw_json_token());
  if (token.empty()) return "it ends early";
  switch (token.front()) {
    case '"': {
      std::string_view text;
      return String(value, token, &text) ? nullptr : "a broken escape in a string";
    }
    case 't':
      return token == "true" ? nullptr : "a value that is not JSON";
    case 'f':
      return token == "false" ? nullptr : "a value that is not JSON";
    case 'n':
      return token == "null" ? nullptr : "a value that is not JSON";
    case '{': {
      if (depth > kMaxDepth) return "it is nested deeper than 64 levels";
      ondemand::object object;
      if (const auto error = value.get_object().get(object)) return simdjson::error_message(error);
      for (auto result : object) {
        ondemand::field field;
        if (const auto error = std::move(result).get(field)) return simdjson::error_message(error);
        std::string_view key;
        if (field.unescaped_key().get(key) != simdjson::SUCCESS) return "a broken escape in a name";
        if (const char* why = Check(std::move(field).value(), depth + 1)) return why;
      }
      return nullptr;
    }
    case '[': {
      if (depth > kMaxDepth) return "it is nested deeper than 64 levels";
      ondemand::array array;
      if (const auto error = value.get_array().get(array)) return simdjson::error_message(error);
      for (auto result : array) {
        ondemand::value element;
        if (const auto error = std::move(result).get(element))
          return simdjson::error_message(error);
        if (const char* why = Check(element, depth + 1)) return why;
      }
      return nullptr;
    }
    default:
      return IsNumber(token) ? nullptr : "a value that is not JSON";
  }
}

RecordParser::Verdict JsonRecordParser::Judge() const {
  const auto is_null = [](const Slot& s) {
    return s.state == State::kAbsent || s.state == State::kNull;
  };
  const auto about = [&](size_t i, const std::string& what) {
    return "column " + names_[i].text + ": " + what;
  };
  const auto null_or_absent = [](const Slot& s) {
    return s.state == State::kNull ? "null" : "absent";
  };
  const auto time = static_cast<size_t>(event_time_);
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& s = slots_[i];
    if (s.not_null && i != time && is_null(s))
      return {Reason::kMissingColumn,
              about(i, std::string("is NOT NULL, but is ") + null_or_absent(s))};
  }
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Slot& s = slots_[i];
    if (s.state == State::kWrongType)
      return {Reason::kWrongType, about(i, "expected " + std::string(Expected(s.type)) +
                                               ", found " + std::string(Excerpt(s.text)))};
  }
  const Slot& t = slots_[time];
  if (is_null(t))
    return {Reason::kNullEventTime,
            about(time, std::string("the event time is ") + null_or_absent(t))};
  if (t.state == State::kOutOfRange)
    return {Reason::kEventTimeOutOfRange, about(time, "expected a year from 0001 to 9999, found " +
                                                          std::string(Excerpt(t.text)))};
  return {};
}

void JsonRecordParser::Append(const Slot& slot, ColumnData* column) {
  if (slot.state != State::kValue) return column->AppendNull();
  switch (slot.type) {
    case Type::kText:
      return column->AppendText(slot.text);
    case Type::kDouble:
      return column->AppendDouble(slot.real);
    default:
      return column->AppendInteger(slot.integer);
  }
}

}  // namespace

std::unique_ptr<RecordParser> JsonRecordParsers::ForStream(const StreamSpec& stream) const {
  return std::make_unique<JsonRecordParser>(stream);
}

}  // namespace millrace::record_simdjson
