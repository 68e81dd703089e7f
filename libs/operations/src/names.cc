#include "millrace/operations/operations.h"

namespace millrace::operations {

std::string_view OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kCreated:
      return "created";
    case Outcome::kUnchanged:
      return "unchanged";
    case Outcome::kDropped:
      return "dropped";
    case Outcome::kSet:
      return "set";
    case Outcome::kAbsent:
      return "absent";
  }
  return "unchanged";
}

std::string_view FormatName(RecordFormat format) {
  return format == RecordFormat::kJson ? "json" : "arrow";
}

std::string_view WindowName(WindowKind kind) { return kind == WindowKind::kHop ? "hop" : "tumble"; }

}  // namespace millrace::operations
