#pragma once

#include <memory>
#include <string>

#include "millrace/adapters/adapters.h"
#include "millrace/base/result.h"
#include "millrace/runtime/ports.h"

namespace millrace::service {

/// The stores that a worker stands on: those that its configuration names, and state/ in its data
/// directory, which is a cache.
class WorkerStores {
 public:
  /// Errors are those of adapters::OpenObjects and OpenServing. `metrics` outlives it.
  static Result<std::unique_ptr<WorkerStores>> Open(const adapters::Options& options,
                                                    const std::string& data_dir,
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
