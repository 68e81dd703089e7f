#include "millrace/config/settings.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "millrace/base/facts.h"
#include "millrace/base/nearest.h"
#include "yaml.h"

namespace millrace::config {
namespace {

constexpr std::string_view kFileSuffix = "_file";

/// "MILLRACE_LOG__KIND=kafka" as log.kind. Nothing if the name has another form: variables that are
/// no settings have no section.
bool ReadVariable(std::string_view variable, Given* given) {
  constexpr std::string_view kPrefix = "MILLRACE_";
  const size_t equals = variable.find('=');
  if (equals == std::string_view::npos || !variable.starts_with(kPrefix)) return false;
  const std::string_view name = variable.substr(0, equals);
  const std::string_view path = name.substr(kPrefix.size());
  if (path.find("__") == std::string_view::npos) return false;
  given->key.clear();
  for (size_t i = 0; i < path.size(); ++i) {
    if (path.substr(i, 2) == "__") {
      given->key += '.';
      ++i;
    } else {
      given->key +=
          path[i] >= 'A' && path[i] <= 'Z' ? static_cast<char>(path[i] - 'A' + 'a') : path[i];
    }
  }
  given->value = variable.substr(equals + 1);
  given->origin = name;
  return true;
}

std::string OneOf(const std::vector<std::string>& names) {
  std::string text = "it is one of";
  for (const std::string& name : names) text += (&name == &names.front() ? " " : ", ") + name;
  return text;
}

}  // namespace

Result<Given> ParseAssignment(const std::string& text, std::string origin) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos) return InvalidArgument("it has no =", {{"value", text}});
  return Given{text.substr(0, equals), text.substr(equals + 1), std::move(origin)};
}

void Settings::Text(std::string key, std::string* value, std::string help) {
  rows_.push_back({std::move(key), std::move(help), false,
                   [value](const std::string& text) {
                     *value = text;
                     return Status();
                   },
                   [value] { return *value; }});
}

void Settings::Secret(std::string key, std::string* value, std::string help) {
  Text(std::move(key), value, std::move(help));
  rows_.back().secret = true;
}

void Settings::Switch(std::string key, bool* value, std::string help) {
  ChoiceOf(
      std::move(key), {"false", "true"}, [value](size_t at) { *value = at == 1; },
      [value] { return size_t{*value ? 1u : 0u}; }, std::move(help));
}

void Settings::Number(std::string key, int* value, int least, int most, std::string help) {
  rows_.push_back({std::move(key), std::move(help), false,
                   [value, least, most](const std::string& text) -> Status {
                     int number = 0;
                     const char* const end = text.data() + text.size();
                     const auto read = std::from_chars(text.data(), end, number);
                     if (read.ec != std::errc() || read.ptr != end || number < least ||
                         number > most)
                       return InvalidArgument("it is a number from " + std::to_string(least) +
                                              " to " + std::to_string(most));
                     *value = number;
                     return {};
                   },
                   [value] { return std::to_string(*value); }});
}

void Settings::ChoiceOf(std::string key, std::vector<std::string> names,
                        std::function<void(size_t)> set, std::function<size_t()> get,
                        std::string help) {
  rows_.push_back({std::move(key), std::move(help), false,
                   [names, set = std::move(set)](const std::string& text) -> Status {
                     const auto at = std::find(names.begin(), names.end(), text);
                     if (at == names.end()) return InvalidArgument(OneOf(names));
                     set(static_cast<size_t>(at - names.begin()));
                     return {};
                   },
                   [names, get = std::move(get)] { return names[get()]; }});
}

Status Settings::Load(const Sources& sources) {
  if (!sources.file.empty()) {
    MILLRACE_ASSIGN(const std::vector<Given> file, ReadYaml(sources.file));
    MILLRACE_TRY(LoadSource(file));
  }
  std::vector<Given> environment;
  for (const std::string& variable : sources.environment) {
    Given given;
    if (ReadVariable(variable, &given)) environment.push_back(std::move(given));
  }
  MILLRACE_TRY(LoadSource(environment));
  return LoadSource(sources.flags);
}

Status Settings::LoadSource(const std::vector<Given>& source) {
  std::set<const Row*> seen;
  for (const Given& given : source) {
    Given resolved = given;
    const Row* row = Find(given.key);
    const bool in_file = row == nullptr && given.key.ends_with(kFileSuffix);
    if (in_file) {
      resolved.key.resize(given.key.size() - kFileSuffix.size());
      row = Find(resolved.key);
      if (row != nullptr && !row->secret) row = nullptr;
    }
    if (row == nullptr) return Unknown(given);
    if (!seen.insert(row).second)
      return InvalidArgument("a setting is given twice in one place: leave one of them out",
                             {{"setting", row->key}, {"at", given.origin}});
    if (in_file) {
      auto secret = ReadWhole(given.value);
      if (!secret.ok()) return In("reading " + given.key + " of " + given.origin, secret.error());
      if (secret->ends_with('\n')) secret->pop_back();
      resolved.value = std::move(*secret);
    }
    MILLRACE_TRY(Put(std::move(resolved)));
  }
  return {};
}

Status Settings::Put(Given given) {
  Row& row = *Find(given.key);
  const Status set = row.set(given.value);
  if (!set.ok())
    return InvalidArgument("a setting has a wrong value; " + set.error().message,
                           {{"setting", row.key}, {"value", given.value}, {"at", given.origin}});
  row.origin = std::move(given.origin);
  return {};
}

Settings::Row* Settings::Find(std::string_view key) {
  const auto at =
      std::find_if(rows_.begin(), rows_.end(), [&](const Row& row) { return row.key == key; });
  return at == rows_.end() ? nullptr : &*at;
}

Error Settings::Unknown(const Given& given) const {
  std::vector<std::string> keys;
  std::string in_section;
  for (const Row& row : rows_) {
    keys.push_back(row.key);
    if (row.secret) keys.push_back(row.key + std::string(kFileSuffix));
    if (row.key.starts_with(given.key + ".") && in_section.empty()) in_section = row.key;
  }
  if (!in_section.empty())
    return InvalidArgument("this is a section and takes no value itself",
                           {{"section", given.key}, {"has", in_section}, {"at", given.origin}});
  constexpr size_t kMostEdits = 3;
  const std::string nearest = Nearest(given.key, keys, kMostEdits);
  return InvalidArgument(
      "there is no such setting" + (nearest.empty() ? "" : "; did you mean " + nearest + "?"),
      {{"setting", given.key}, {"at", given.origin}});
}

std::vector<Settings::Shown> Settings::Show() const {
  std::vector<Shown> shown;
  for (const Row& row : rows_) {
    std::string value = row.get();
    if (row.secret) value = value.empty() ? "(not set)" : "(set)";
    shown.push_back({row.key, std::move(value), row.origin, row.help});
  }
  return shown;
}

}  // namespace millrace::config
