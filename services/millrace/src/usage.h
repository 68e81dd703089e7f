#pragma once

#include <string>

namespace millrace {

/// Behind the list of verbs.
extern const char* const kMoreHelp;
/// Behind the help of each verb that talks to a server.
extern const char* const kTalksTo;
/// Of `millrace results`.
extern const char* const kResultsExample;

/// What the parser says is wrong, in the words of this program. `command` has the help that tells
/// more.
std::string Reworded(std::string message, const std::string& command);

}  // namespace millrace
