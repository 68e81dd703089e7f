#pragma once

#include <memory>
#include <string>

#include "millrace/base/result.h"
#include "millrace/runtime/ports.h"

namespace millrace::service {

/// The stores a worker of one machine stands on, all under one data directory: state/ (a cache),
/// objects/ (checkpoints and result files) and serving.db (result tables).
class WorkerStores {
 public:
  /// Makes what is missing. kInvalidArgument, kUnavailable, kCorruption: a store cannot be opened;
  /// the message says which and why.
  /// `metrics` outlives it.
  static Result<std::unique_ptr<WorkerStores>> Open(const std::string& data_dir,
                                                    MetricRegistry* metrics);
  ~WorkerStores();

  /// The ports of a worker over these stores and the given log.
  runtime::Ports ports(EventLog* log);

 private:
  struct Stores;
  explicit WorkerStores(std::unique_ptr<Stores> stores);

  std::unique_ptr<Stores> stores_;
};

}  // namespace millrace::service
