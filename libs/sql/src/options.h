#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/time.h"
#include "syntax.h"

namespace millrace {

/// The options of one WITH list, read by name. Every error points at the option.
class Options {
 public:
  /// `owner`: "CREATE TABLE" or "CREATE MATERIALIZED VIEW", for messages.
  Options(const Source& source, const std::vector<OptionSyntax>& list, std::string_view owner)
      : source_(source), list_(list), owner_(owner) {}

  /// Refuses an option that is not one of `known`.
  Status CheckNames(const std::vector<std::string>& known) const;

  const OptionSyntax* Find(std::string_view name) const;
  /// The text of option `name`, or nothing if it is not given.
  Result<std::optional<std::string>> Text(std::string_view name) const;
  /// Set only what is given. Durations lie in [least, kMaxDuration].
  Status ReadDuration(std::string_view name, Micros least, Micros* out) const;
  Status ReadSwitch(std::string_view name, bool* out) const;
  Status ReadInteger(std::string_view name, int32_t least, int32_t most, int32_t* out) const;
  /// A number of bytes, or a text as '10 GB'; as in PostgreSQL each unit is 1,024 of the one below.
  Status ReadBytes(std::string_view name, int64_t* out) const;
  /// The index of the given text in `choices`, or `otherwise`.
  Result<int> Choice(std::string_view name, const std::vector<std::string>& choices,
                     int otherwise) const;

 private:
  const Source& source_;
  const std::vector<OptionSyntax>& list_;
  std::string_view owner_;
};

}  // namespace millrace
