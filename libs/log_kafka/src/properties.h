#pragma once

#include "handle.h"
#include "millrace/log_kafka/options.h"

namespace millrace::log_kafka {

/// What all clients of a log have in common.
Properties ClientProperties(const Options& options);

}  // namespace millrace::log_kafka
