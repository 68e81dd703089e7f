#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>

#include "millrace/base/executor.h"
#include "millrace/base/result.h"

namespace millrace::runtime {

/// The parts of a shard that are tried again without end when they fail.
inline constexpr std::array<std::string_view, 5> kShardParts = {"sink_tables", "sink_files", "cut",
                                                                "log_read", "log_append"};

/// What fails at present and is tried again: since when, why, and what to do. One executor.
class Troubles {
 public:
  explicit Troubles(std::string subject) : subject_(std::move(subject)) {}

  /// `part` failed once more. Warns at the first failure of a row of failures, and once a minute.
  void Failed(std::string_view part, std::string_view advice, const Error& error);
  /// `part` works, or is not needed any more.
  void Worked(std::string_view part);
  bool failing(std::string_view part) const { return failing_.contains(part); }
  /// `part` has failed for at least so long.
  bool failing_for(std::string_view part, Executor::Duration least) const;
  bool any() const { return !failing_.empty(); }
  /// For people; empty if nothing fails.
  std::string Text() const;
  std::string Text(std::string_view part) const;

 private:
  struct Trouble {
    Micros since;
    Executor::Duration began;
    Executor::Duration warned;
    std::string advice;
    std::string error;
  };

  static std::string Text(std::string_view part, const Trouble& trouble);

  const std::string subject_;
  std::map<std::string, Trouble, std::less<>> failing_;
};

}  // namespace millrace::runtime
