#pragma once

#include <string>

#include "millrace/cli/event_sink.h"

namespace millrace {

/// Sinks of `produce` that send through the client library to one server.
cli::OpenEventSink ClientSinks(const std::string& server);

}  // namespace millrace
