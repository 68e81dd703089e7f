#pragma once

#include <istream>
#include <ostream>
#include <string>
#include <string_view>

#include "millrace/base/result.h"

namespace millrace::cli {

/// Exit codes of every verb.
enum Exit : int {
  kExitOk = 0,
  kExitRuntime = 1,
  kExitUsage = 2,
  kExitNotFound = 3,
  kExitConflict = 4,
  kExitUnavailable = 5,
  kExitConfig = 78,
};

/// A request that the cluster calls wrong is kExitRuntime: what was wrong with the command line
/// itself is told before the cluster is asked.
int ExitCodeOf(const Error& error);

/// Where a verb writes: data to `out`, all else to `err`. Threads: one at a time.
struct Console {
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  bool color = false;               ///< of `out`: a terminal without NO_COLOR
  std::istream* answers = nullptr;  ///< standard input, if somebody sits there to answer

  /// "millrace: <text>" on `err`.
  void Note(std::string_view text) const;
  /// "millrace: error: <message>" on `err`; gives the exit code of the error.
  int Fail(const Error& error) const;
  /// The same with kExitUsage.
  int FailUsage(std::string_view message) const;
  /// Asks on `err` and reads a line of `answers`: y or yes. False without somebody to answer.
  bool Confirm(std::string_view question) const;
  /// kExitOk, or kExitRuntime and a message where not all data could be written.
  int Finish() const;
};

}  // namespace millrace::cli
