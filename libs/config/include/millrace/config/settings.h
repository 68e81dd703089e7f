#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/base/result.h"

namespace millrace::config {

/// A value as somebody gave it, before it is checked.
struct Given {
  std::string key;     ///< "log.kafka.brokers"
  std::string value;   ///< as text
  std::string origin;  ///< for people: "dev.yaml:12", "MILLRACE_LOG__KIND", "--listen"
};

/// Reads "KEY=VALUE". kInvalidArgument: the text has no =.
Result<Given> ParseAssignment(const std::string& text, std::string origin);

/// Where values come from. What stands later wins; within one, a setting stands once.
struct Sources {
  std::string file;                      ///< path of a YAML file; empty: no file is read
  std::vector<std::string> environment;  ///< "NAME=value"; names other than MILLRACE_A__B are left
  std::vector<Given> flags;
};

/// The settings of one program: what it knows, and the values that it was given for them.
///
/// A program names its settings with the places where their values go, which hold the defaults, and
/// then loads. Keys are words with dots between, at least two: the last is the setting and the rest
/// its section. So a key is a path in a YAML file, and MILLRACE_LOG__KAFKA__BROKERS in the
/// environment.
class Settings {
 public:
  void Text(std::string key, std::string* value, std::string help);
  /// Its value is never shown. KEY_file is a second way to give it: a file that holds it, from
  /// which one line feed at the end is taken off.
  void Secret(std::string key, std::string* value, std::string help);
  /// "true" or "false".
  void Switch(std::string key, bool* value, std::string help);
  void Number(std::string key, int* value, int least, int most, std::string help);
  template <class E>
  void Choice(std::string key, E* value, std::vector<std::pair<std::string, E>> names,
              std::string help);

  /// Puts every given value in its place. kInvalidArgument names the first that cannot be: where it
  /// was given, and what to write instead. Some places may have new values then. Call it once.
  Status Load(const Sources& sources);

  struct Shown {
    std::string key;
    std::string value;   ///< of a secret "(set)" or "(not set)"
    std::string origin;  ///< "default" where nothing was given
    std::string help;
  };
  /// Every setting in the order in which they were named.
  std::vector<Shown> Show() const;

 private:
  struct Row {
    std::string key;
    std::string help;
    bool secret = false;
    /// The message says what is taken.
    std::function<Status(const std::string&)> set;
    std::function<std::string()> get;
    std::string origin = "default";
  };

  void ChoiceOf(std::string key, std::vector<std::string> names, std::function<void(size_t)> set,
                std::function<size_t()> get, std::string help);
  Status LoadSource(const std::vector<Given>& source);
  Status Put(Given given);
  Row* Find(std::string_view key);
  Error Unknown(const Given& given) const;

  std::vector<Row> rows_;
};

template <class E>
void Settings::Choice(std::string key, E* value, std::vector<std::pair<std::string, E>> names,
                      std::string help) {
  std::vector<std::string> texts;
  for (const auto& [text, e] : names) texts.push_back(text);
  const auto of = [value, names] {
    size_t at = 0;
    while (names[at].second != *value) ++at;
    return at;
  };
  ChoiceOf(
      std::move(key), std::move(texts), [value, names](size_t at) { *value = names[at].second; },
      of, std::move(help));
}

}  // namespace millrace::config
