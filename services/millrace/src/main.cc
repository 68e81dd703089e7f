#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <string_view>

#include "args.h"
#include "client_sink.h"
#include "dev.h"
#include "examine.h"
#include "millrace/client/operations_client.h"

namespace {

bool Set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

bool DumbTerminal() {
  const char* term = std::getenv("TERM");
  return term == nullptr || std::string_view(term) == "dumb";
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const bool out_is_terminal = isatty(STDOUT_FILENO) != 0;
  const millrace::cli::Console console{std::cout,
                                       std::cerr,
                                       out_is_terminal,
                                       isatty(STDERR_FILENO) != 0 && !DumbTerminal(),
                                       out_is_terminal && !Set("NO_COLOR") && !DumbTerminal(),
                                       isatty(STDIN_FILENO) != 0 ? &std::cin : nullptr};
  const millrace::Wiring wiring{
      [](const std::vector<std::string>& servers) { return millrace::ConnectOperations(servers); },
      millrace::ClientSinks, millrace::RunDev, millrace::process::ShowSettings,
      millrace::ExamineStores};
  try {
    return millrace::RunCommandLine(argc, argv, std::getenv("MILLRACE_SERVER"), wiring, console);
  } catch (const std::exception& e) {
    return console.Fail(millrace::Internal(e.what()));
  }
}
