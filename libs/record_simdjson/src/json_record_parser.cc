#include "millrace/record_simdjson/json_record_parser.h"

#include <simdjson.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <unordered_map>
#include <vector>

#include "millrace/base/utf8.h"
#include "scalar.h"
#include "shape.h"
#include "slot.h"

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

/// In our own words: they end up in the quarantine output, which may not depend on simdjson's
/// version.
const char* Broken(simdjson::error_code error) {
  return error == simdjson::UTF8_ERROR ? "it is not UTF-8" : "its structure is broken";
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

RecordParser::Verdict Unreadable(const char* why) {
  return {Reason::kUnreadable, std::string("expected one JSON object: ") + why};
}

class JsonRecordParser : public RecordParser {
 public:
  explicit JsonRecordParser(const StreamSpec& stream) : event_time_(stream.event_time) {
    names_.reserve(stream.columns.size());
    for (const ColumnSpec& c : stream.columns) {
      // Names that JSON may not write plainly are compared after unescaping only.
      const bool plain =
          c.name.find_first_of("\"\\") == c.name.npos && c.name.find('\0') == c.name.npos;
      const bool is_time = static_cast<int32_t>(slots_.size()) == stream.event_time;
      if (c.not_null && !is_time) required_.push_back(slots_.size());
      slots_.push_back({State::kAbsent, c.type, c.not_null, is_time, {}, 0, 0, {}, {}, false});
      names_.push_back({c.name, 0, 0, plain});
      index_.emplace(names_.back().text, slots_.size() - 1);
      if (!c.quoted) unquoted_.emplace(c.name, slots_.size() - 1);
      // With its closing quote, so that one comparison is enough for short names.
      const std::string quoted = c.name + '"';
      const size_t head = std::min<size_t>(quoted.size(), sizeof(uint64_t));
      std::memcpy(&names_.back().head, quoted.data(), head);
      names_.back().mask = head == sizeof(uint64_t) ? ~uint64_t{0} : (uint64_t{1} << 8 * head) - 1;
    }
  }

  Verdict Parse(std::string_view payload, BatchBuilder* out) override;

 private:
  using State = Slot::State;

  struct Name {
    std::string text;
    uint64_t head;  ///< its first bytes, and the quote behind it if that is among the first eight
    uint64_t mask;
    bool plain;
  };

  /// Copies the payload to where simdjson can read past its end. False: no memory for it.
  bool Pad(std::string_view payload);
  /// Reads an event whose shape was not learned, and learns it if it can.
  Verdict ParseLong(std::string_view event);
  /// Appends the values of `slots` to `out`, if any, and makes the slots absent again.
  void Flush(const std::vector<uint32_t>& slots, BatchBuilder* out);
  /// Each gives nullptr, or why the payload is unreadable.
  const char* Walk(std::string_view event);
  const char* Take(ondemand::value value, Slot* slot);
  const char* Check(ondemand::value value, int depth);
  /// The string of a token that starts with a quote, unescaped. False: a broken escape.
  bool String(ondemand::value& value, std::string_view token, std::string_view* out);

  const char* Find(ondemand::field& field, size_t guess, Slot** slot, std::string_view* variant);
  /// Whether a member with this slot counts for it so far. An empty variant: its name is equal.
  static bool Counts(std::string_view variant, Slot* slot);
  Verdict Judge() const;
  static void Append(const Slot& slot, ColumnData* column);

  const int32_t event_time_;
  std::vector<Slot> slots_;       ///< all absent between two events
  std::vector<size_t> required_;  ///< NOT NULL and not the event time
  std::vector<Name> names_;
  std::unordered_map<std::string_view, size_t> index_;  ///< of names_, by their texts
  /// Columns that were not quoted, by their names, which are in lower case.
  std::unordered_map<std::string, size_t> unquoted_;
  Shape shape_;
  std::vector<uint32_t> learned_;  ///< slots of the shape
  std::vector<uint32_t> touched_;  ///< slots that an event of no known shape has
  std::vector<Shape::Seen> seen_;
  bool simple_ = true;  ///< no nested or escaped value was seen
  ondemand::parser parser_;
  std::string padded_;
};

RecordParser::Verdict JsonRecordParser::Parse(std::string_view payload, BatchBuilder* out) {
  if (payload.empty()) return Unreadable("the payload is empty");
  if (!Pad(payload)) return Unreadable("it is too large");
  const std::string_view event(padded_.data(), payload.size());
  // Everything below goes by the members of the event, not by the columns, which may be a thousand.
  if (shape_.Read(event, &slots_)) {
    Flush(learned_, out);
    return {};
  }
  Flush(learned_, nullptr);
  touched_.clear();
  Verdict verdict = ParseLong(event);
  Flush(touched_, verdict.reason == Reason::kNone ? out : nullptr);
  return verdict;
}

RecordParser::Verdict JsonRecordParser::ParseLong(std::string_view event) {
  seen_.clear();
  simple_ = true;
  if (const char* why = Walk(event)) return Unreadable(why);
  Verdict verdict = Judge();
  if (verdict.reason != Reason::kNone) return verdict;
  if (simple_) {
    shape_.Learn(event, seen_);
    learned_ = touched_;
  } else {
    shape_.Forget();
    learned_.clear();
  }
  return verdict;
}

void JsonRecordParser::Flush(const std::vector<uint32_t>& slots, BatchBuilder* out) {
  for (const uint32_t i : slots) {
    Slot& slot = slots_[i];
    if (out != nullptr && slot.state == State::kValue) Append(slot, &out->column(i));
    slot.Clear();
  }
}

bool JsonRecordParser::Pad(std::string_view payload) {
  if (padded_.size() < payload.size() + simdjson::SIMDJSON_PADDING) {
    const size_t room = std::max<size_t>(4096, payload.size() * 2);
    padded_.assign(room + simdjson::SIMDJSON_PADDING, ' ');
    if (parser_.allocate(room) != simdjson::SUCCESS) return false;
  }
  std::memcpy(padded_.data(), payload.data(), payload.size());
  // simdjson looks at the first byte behind: what it says of an event must not depend on the last.
  std::memset(padded_.data() + payload.size(), ' ', simdjson::SIMDJSON_PADDING);
  return true;
}

const char* JsonRecordParser::Walk(std::string_view event) {
  ondemand::document document;
  if (const auto error =
          parser_.iterate(event.data(), event.size(), padded_.size()).get(document)) {
    return Broken(error);
  }
  ondemand::object object;
  if (const auto error = document.get_object().get(object)) {
    return error == simdjson::INCORRECT_TYPE
               ? "found another value; an array is sent as one event for each of its objects"
               : "it has no end; an object that spans lines is one event only on a single line";
  }
  size_t guess = 0;
  for (auto result : object) {
    ondemand::field field;
    if (const auto error = std::move(result).get(field)) return Broken(error);
    Slot* slot = nullptr;
    std::string_view variant;
    if (const char* why = Find(field, guess, &slot, &variant)) return why;
    if (slot != nullptr && !Counts(variant, slot)) slot = nullptr;
    const int index = slot == nullptr ? -1 : static_cast<int>(slot - slots_.data());
    ondemand::value value = std::move(field).value();
    const std::string_view token = Trim(value.raw_json_token());
    seen_.push_back({token.data(), token.data() + token.size(), index});
    if (slot == nullptr) {
      if (const char* why = Check(value, 2)) return why;
      continue;
    }
    guess = static_cast<size_t>(index) + 1;
    if (slot->state == State::kAbsent) touched_.push_back(static_cast<uint32_t>(index));
    if (const char* why = Take(value, slot)) return why;
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
    return "something follows the object";
  return nullptr;
}

bool JsonRecordParser::Counts(std::string_view variant, Slot* slot) {
  if (variant.empty()) {
    slot->exact = true;
    return true;
  }
  if (slot->exact) return false;
  if (slot->variant.empty() || slot->variant == variant) {
    slot->variant = variant;
    return true;
  }
  slot->other_variant = variant;
  return false;
}

const char* JsonRecordParser::Find(ondemand::field& field, size_t guess, Slot** slot,
                                   std::string_view* variant) {
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
  const char* end = raw;
  while (*end != '"' && *end != '\\') ++end;
  std::string_view key(raw, end);
  if (*end != '"' && field.unescaped_key().get(key) != simdjson::SUCCESS)
    return "a broken escape in a name";
  if (const auto exact = index_.find(key); exact != index_.end()) {
    *slot = &slots_[exact->second];
    return nullptr;
  }
  const auto fits = unquoted_.find(FoldCase(key));
  if (fits == unquoted_.end()) return nullptr;
  *slot = &slots_[fits->second];
  *variant = key;
  return nullptr;
}

bool JsonRecordParser::String(ondemand::value& value, std::string_view token,
                              std::string_view* out) {
  *out = token.substr(1, token.size() - 2);
  if (out->find('\\') != out->npos) {
    simple_ = false;
    return value.get_string().get(*out) == simdjson::SUCCESS;
  }
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
      return Check(value, 2);  // of the wrong type, but it must be JSON all the same
    default:
      TakeNumber(token, slot);
      return slot->state == State::kWrongType && !IsNumber(token) ? "a value that is not JSON"
                                                                  : nullptr;
  }
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
      simple_ = false;
      if (depth > kMaxDepth) return "it is nested deeper than 64 levels";
      ondemand::object object;
      if (const auto error = value.get_object().get(object)) return Broken(error);
      for (auto result : object) {
        ondemand::field field;
        if (const auto error = std::move(result).get(field)) return Broken(error);
        std::string_view key;
        if (field.unescaped_key().get(key) != simdjson::SUCCESS) return "a broken escape in a name";
        if (const char* why = Check(std::move(field).value(), depth + 1)) return why;
      }
      return nullptr;
    }
    case '[': {
      simple_ = false;
      if (depth > kMaxDepth) return "it is nested deeper than 64 levels";
      ondemand::array array;
      if (const auto error = value.get_array().get(array)) return Broken(error);
      for (auto result : array) {
        ondemand::value element;
        if (const auto error = std::move(result).get(element)) return Broken(error);
        if (const char* why = Check(element, depth + 1)) return why;
      }
      return nullptr;
    }
    default:
      return IsNumber(token) ? nullptr : "a value that is not JSON";
  }
}

RecordParser::Verdict JsonRecordParser::Judge() const {
  const auto about = [&](size_t i, const std::string& what) {
    return "column " + names_[i].text + ": " + what;
  };
  const auto null_or_absent = [](const Slot& s) {
    return s.state == State::kNull ? "null" : "absent";
  };
  size_t ambiguous = slots_.size();
  for (const uint32_t i : touched_)
    if (!slots_[i].exact && !slots_[i].other_variant.empty())
      ambiguous = std::min<size_t>(ambiguous, i);
  if (ambiguous < slots_.size()) {
    const Slot& s = slots_[ambiguous];
    return {Reason::kUnreadable,
            about(ambiguous, "two members fit it and neither has its name, so which one counts? " +
                                 std::string(Excerpt(s.variant)) + ", " +
                                 std::string(Excerpt(s.other_variant)))};
  }
  const auto time = static_cast<size_t>(event_time_);
  for (const size_t i : required_) {
    const Slot& s = slots_[i];
    if (s.is_null())
      return {Reason::kMissingColumn,
              about(i, std::string("is NOT NULL, but is ") + null_or_absent(s))};
  }
  size_t wrong = slots_.size();
  for (const uint32_t i : touched_)
    if (slots_[i].state == State::kWrongType) wrong = std::min<size_t>(wrong, i);
  if (wrong < slots_.size()) {
    const Slot& s = slots_[wrong];
    return {Reason::kWrongType, about(wrong, "expected " + std::string(Expected(s.type)) +
                                                 ", found " + std::string(Excerpt(s.text)))};
  }
  const Slot& t = slots_[time];
  if (t.is_null())
    return {Reason::kNullEventTime,
            about(time, std::string("the event time is ") + null_or_absent(t))};
  if (t.state == State::kOutOfRange)
    return {Reason::kEventTimeOutOfRange, about(time, "expected a year from 0001 to 9999, found " +
                                                          std::string(Excerpt(t.text)))};
  return {};
}

void JsonRecordParser::Append(const Slot& slot, ColumnData* column) {
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
