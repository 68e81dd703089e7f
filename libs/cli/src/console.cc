#include "millrace/cli/console.h"

namespace millrace::cli {

int ExitCodeOf(const Error& error) {
  switch (error.code) {
    case Code::kNotFound:
      return kExitNotFound;
    case Code::kConflict:
    case Code::kFenced:
      return kExitConflict;
    case Code::kUnavailable:
    case Code::kResourceExhausted:
      return kExitUnavailable;
    case Code::kInvalidArgument:
    case Code::kCorruption:
    case Code::kInternal:
      return kExitRuntime;
  }
  return kExitRuntime;
}

void Console::Note(std::string_view text) const { err << "millrace: " << text << std::endl; }

int Console::Fail(const Error& error) const {
  Note("error: " + error.message);
  return ExitCodeOf(error);
}

int Console::FailUsage(std::string_view message) const {
  Note("error: " + std::string(message));
  return kExitUsage;
}

bool Console::Confirm(std::string_view question) const {
  if (answers == nullptr) return false;
  err << "millrace: " << question << " [y/N] " << std::flush;
  std::string answer;
  std::getline(*answers, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

int Console::Finish() const {
  out.flush();
  if (out.good()) return kExitOk;
  Note("error: not all output could be written to standard output; is the disk full?");
  return kExitRuntime;
}

}  // namespace millrace::cli
