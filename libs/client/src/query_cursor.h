#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "grpc_status.h"
#include "millrace/serving/serving_reader.h"

namespace millrace::client {

/// Nothing: it did not fail.
using Failed = std::optional<Failure>;

struct QueriedServer {
  std::shared_ptr<grpc::Channel> channel;
  std::string address;
  std::chrono::milliseconds timeout;  ///< of each wait for more rows
};

/// Asks a server and waits until it names the columns, at most `patience`. `wait`: until results
/// are applied.
Failed OpenCursor(QueriedServer server, const ServingQuery& query, bool wait,
                  std::chrono::milliseconds patience, std::shared_ptr<RowCursor>* out);

}  // namespace millrace::client
