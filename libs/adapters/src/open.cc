#include "millrace/adapters/adapters.h"
#include "millrace/log_embedded/embedded_log.h"
#include "millrace/log_kafka/kafka_log.h"
#include "millrace/objectstore_arrow/local_object_store.h"
#include "millrace/objectstore_s3/s3_object_store.h"
#include "millrace/serving_postgres/postgres_serving_store.h"
#include "millrace/serving_sqlite/sqlite_serving_store.h"

namespace millrace::adapters {
namespace {

template <class Store>
Serving ServingOf(std::shared_ptr<Store> store) {
  Store* const s = store.get();
  return {std::move(store), s, s, s};
}

}  // namespace

Result<std::unique_ptr<EventLog>> OpenLog(const Options& options, const std::string& data_dir,
                                          MetricRegistry* metrics) {
  if (options.log == LogKind::kKafka) {
    MILLRACE_ASSIGN(auto kafka, log_kafka::KafkaLog::Open(options.kafka));
    return std::unique_ptr<EventLog>(std::move(kafka));
  }
  MILLRACE_ASSIGN(auto log, log_embedded::EmbeddedLog::Open(data_dir + "/log"));
  metrics
      ->GetGauge("millrace_log_dropped_bytes",
                 "Bytes at the log's end that were no whole write when this process opened it.", {})
      .Set(static_cast<double>(log->dropped_bytes()));
  return std::unique_ptr<EventLog>(std::move(log));
}

Result<std::unique_ptr<Objects>> OpenObjects(const Options& options, const std::string& data_dir,
                                             MetricRegistry* metrics) {
  if (options.objects == ObjectsKind::kS3) {
    MILLRACE_ASSIGN(auto s3, objectstore_s3::S3ObjectStore::Open(options.s3));
    return std::make_unique<Objects>(std::move(s3), false, metrics);
  }
  MILLRACE_ASSIGN(auto directory, objectstore_arrow::LocalObjectStore::Open(data_dir + "/objects"));
  return std::make_unique<Objects>(std::move(directory), true, metrics);
}

Result<Serving> OpenServing(const Options& options, const std::string& data_dir) {
  if (options.serving == ServingKind::kPostgres)
    return ServingOf(std::make_shared<serving_postgres::PostgresServingStore>(options.postgres));
  MILLRACE_ASSIGN(auto sqlite, serving_sqlite::SqliteServingStore::Open(data_dir + "/serving.db"));
  return ServingOf(std::shared_ptr(std::move(sqlite)));
}

}  // namespace millrace::adapters
