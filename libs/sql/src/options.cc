#include "options.h"

#include <algorithm>
#include <charconv>

#include "interval.h"
#include "suggest.h"

namespace millrace {
namespace {

/// What options of other systems are called here.
struct ForeignOption {
  std::string_view name;
  std::string_view hint;
};

constexpr ForeignOption kForeignOptions[] = {
    {"kafka_topic", "write topic = '...'"},
    {"value_format", "write format = 'json' or format = 'arrow'"},
    {"key", "write partition_key = 'column'"},
    {"timestamp", "write event_time = 'column'"},
    {"connector", "a stream needs no connector: leave it out"},
    {"watermark", "write watermark_delay = '5 seconds'"},
    {"retention", "write keep_for = '7 days'"},
    {"retention_ms", "write keep_for = '7 days'"},
    {"retention_bytes", "write keep_bytes = '10 GB'"},
};

}  // namespace

Status Options::CheckNames(const std::vector<std::string>& known) const {
  for (const OptionSyntax& option : list_) {
    if (std::find(known.begin(), known.end(), option.name) != known.end()) continue;
    std::string hint = DidYouMean(option.name, known, "");
    for (const ForeignOption& foreign : kForeignOptions) {
      if (foreign.name == option.name) hint = foreign.hint;
    }
    if (hint.empty()) hint = "options of " + std::string(owner_) + " are " + Joined(known);
    return source_.At(option.location,
                      std::string(owner_) + " has no option " + Quoted(option.name), hint);
  }
  return {};
}

const OptionSyntax* Options::Find(std::string_view name) const {
  const auto found = std::find_if(list_.begin(), list_.end(),
                                  [&](const OptionSyntax& o) { return o.name == name; });
  return found == list_.end() ? nullptr : &*found;
}

Result<std::optional<std::string>> Options::Text(std::string_view name) const {
  const OptionSyntax* option = Find(name);
  if (option == nullptr) return std::optional<std::string>();
  if (option->kind != OptionSyntax::Kind::kText || option->value.empty()) {
    return source_.At(option->location, "option " + Quoted(name) + " needs a text",
                      "write " + std::string(name) + " = '...'");
  }
  return std::optional<std::string>(option->value);
}

Status Options::ReadDuration(std::string_view name, Micros least, Micros* out) const {
  const OptionSyntax* option = Find(name);
  if (option == nullptr) return {};
  const std::string hint = "write for example " + std::string(name) + " = '30 seconds'";
  if (option->kind != OptionSyntax::Kind::kText) {
    return source_.At(option->location, "option " + Quoted(name) + " needs an interval", hint);
  }
  auto value = ParseInterval(option->value);
  if (!value.ok()) {
    return source_.At(option->location, Quoted(name), value.error());
  }
  if (*value < least) {
    return source_.At(
        option->location,
        "option " + Quoted(name) + (least > 0 ? " must be more than 0" : " must not be negative"),
        hint);
  }
  *out = *value;
  return {};
}

Status Options::ReadSwitch(std::string_view name, bool* out) const {
  const OptionSyntax* option = Find(name);
  if (option == nullptr) return {};
  const std::string& value = option->value;
  if (option->kind == OptionSyntax::Kind::kNone || value == "on" || value == "true") {
    *out = true;
  } else if (option->kind == OptionSyntax::Kind::kText && (value == "off" || value == "false")) {
    *out = false;
  } else {
    return source_.At(option->location, "option " + Quoted(name) + " is on or off",
                      "write " + std::string(name) + " = on or " + std::string(name) + " = off");
  }
  return {};
}

Status Options::ReadInteger(std::string_view name, int32_t least, int32_t most,
                            int32_t* out) const {
  const OptionSyntax* option = Find(name);
  if (option == nullptr) return {};
  const char* first = option->value.data();
  const char* last = first + option->value.size();
  int32_t value = 0;
  const auto [end, error] = std::from_chars(first, last, value);
  if (error != std::errc() || end != last || value < least || value > most) {
    return source_.At(option->location, "option " + Quoted(name) + " needs a whole number from " +
                                            std::to_string(least) + " to " + std::to_string(most));
  }
  *out = value;
  return {};
}

Status Options::ReadBytes(std::string_view name, int64_t* out) const {
  const OptionSyntax* option = Find(name);
  if (option == nullptr) return {};
  constexpr std::string_view kUnits[] = {"bytes", "kB", "MB", "GB", "TB"};
  const std::string& text = option->value;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit = std::string_view(text).substr(static_cast<size_t>(end - text.data()));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  int shift = 0;
  const auto* const known = std::find(std::begin(kUnits), std::end(kUnits), unit);
  if (known != std::end(kUnits)) shift = 10 * static_cast<int>(known - std::begin(kUnits));
  const bool good = error == std::errc() && (unit.empty() || known != std::end(kUnits));
  if (!good || value <= 0 || value > INT64_MAX >> shift) {
    return source_.At(option->location,
                      "option " + Quoted(name) + " needs a number of bytes above 0",
                      "write for example " + std::string(name) +
                          " = '10 GB'; units are bytes, kB, "
                          "MB, GB and TB");
  }
  *out = value << shift;
  return {};
}

Result<int> Options::Choice(std::string_view name, const std::vector<std::string>& choices,
                            int otherwise) const {
  const OptionSyntax* option = Find(name);
  if (option == nullptr) return otherwise;
  for (size_t i = 0; i < choices.size(); ++i) {
    if (option->kind == OptionSyntax::Kind::kText && option->value == choices[i]) {
      return static_cast<int>(i);
    }
  }
  std::vector<std::string> quoted;
  for (const std::string& choice : choices) quoted.push_back("'" + choice + "'");
  return source_.At(option->location, "option " + Quoted(name) + " is one of " + Joined(quoted));
}

}  // namespace millrace
