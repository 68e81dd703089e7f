#pragma once

#include <string>

namespace millrace::process {

/// Tells systemd what the process is at, where it waits to be told (a unit with Type=notify):
/// "what" is READY=1, STOPPING=1 or STATUS=text (sd_notify(3)). Nothing happens elsewhere. A
/// message that cannot be sent is logged.
void NotifyManager(const std::string& what);

}  // namespace millrace::process
