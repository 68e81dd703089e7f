#pragma once

#include <string>
#include <vector>

#include "millrace/cli/event_sink.h"

namespace millrace {

/// Sinks of `produce` that send through the client library to one of these
/// servers.
cli::OpenEventSink ClientSinks(const std::vector<std::string>& servers);

}  // namespace millrace
