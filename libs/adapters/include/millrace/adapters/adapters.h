#pragma once

#include <memory>
#include <string>

#include "millrace/config/settings.h"
#include "millrace/log/log.h"
#include "millrace/log_kafka/options.h"
#include "millrace/metrics/metrics.h"
#include "millrace/objectstore/metered_object_store.h"
#include "millrace/objectstore/retrying_object_store.h"
#include "millrace/objectstore_s3/options.h"
#include "millrace/serving/serving_reader.h"
#include "millrace/serving/serving_tables.h"
#include "millrace/serving/serving_writer.h"

namespace millrace::adapters {

enum class LogKind { kEmbedded, kKafka };
enum class ObjectsKind { kDirectory, kS3 };
enum class ServingKind { kSqlite, kPostgres };

/// What a process stands on. The defaults need no server: everything lies in a data directory.
struct Options {
  LogKind log = LogKind::kEmbedded;
  log_kafka::Options kafka;
  ObjectsKind objects = ObjectsKind::kDirectory;
  objectstore_s3::Options s3;
  ServingKind serving = ServingKind::kSqlite;
  std::string postgres;  ///< connection string or URI of libpq

  /// Whether something is a server, which may start later than the process.
  bool remote() const {
    return log != LogKind::kEmbedded || objects != ObjectsKind::kDirectory ||
           serving != ServingKind::kSqlite;
  }
};

/// Names the settings of all of it: sections log, objects and serving. Both arguments stay where
/// they are.
void AddSettings(Options* options, config::Settings* settings);

/// kInvalidArgument names a setting that cannot be, or that does not fit the others.
Status Check(const Options& options);

/// kInvalidArgument, kUnavailable, kCorruption: it cannot be opened; the message says which and
/// why. A server is not asked yet. `metrics` outlives what is opened.
Result<std::unique_ptr<EventLog>> OpenLog(const Options& options, const std::string& data_dir,
                                          MetricRegistry* metrics);

/// An object store that is counted, and whose calls are tried again.
class Objects {
 public:
  /// `retries`: the store does not try again itself.
  Objects(std::unique_ptr<ObjectStore> store, bool retries, MetricRegistry* metrics)
      : store_(std::move(store)), retries_(retries), metered_(store_.get(), metrics) {}

  ObjectStore* port() {
    if (retries_) return &retrying_;
    return &metered_;
  }

 private:
  const std::unique_ptr<ObjectStore> store_;
  const bool retries_;
  MeteredObjectStore metered_;
  RetryingObjectStore retrying_{&metered_};
};
Result<std::unique_ptr<Objects>> OpenObjects(const Options& options, const std::string& data_dir,
                                             MetricRegistry* metrics);

/// The three ports of one serving store, which `store` keeps.
struct Serving {
  std::shared_ptr<void> store;
  ServingTables* tables = nullptr;
  ServingWriter* writer = nullptr;
  ServingReader* reader = nullptr;
};
Result<Serving> OpenServing(const Options& options, const std::string& data_dir);

}  // namespace millrace::adapters
