#include "millrace/adapters/examine.h"

#include <filesystem>
#include <iterator>

#include "millrace/base/bytes.h"
#include "millrace/base/executor.h"
#include "millrace/control/records.h"
#include "millrace/doctor/log_probe.h"
#include "millrace/doctor/objects_probe.h"
#include "millrace/log_embedded/embedded_log.h"
#include "millrace/log_kafka/kafka_log.h"
#include "millrace/log_kafka/topics_probe.h"
#include "millrace/objectstore_arrow/local_object_store.h"
#include "millrace/objectstore_s3/bucket_probe.h"
#include "millrace/objectstore_s3/s3_object_store.h"
#include "millrace/serving_postgres/database_probe.h"
#include "millrace/serving_sqlite/sqlite_serving_store.h"

namespace millrace::adapters {
namespace {

using doctor::Failed;
using doctor::Findings;
using doctor::Grade;
using doctor::Probe;

/// Files of a process that runs for some weeks.
constexpr uintmax_t kRoom = uintmax_t{1} << 30;

/// Gives whether a later probe of the same thing can find more.
Task<bool> Run(Probe* probe, Findings* findings) {
  Findings found = co_await probe->Run();
  const bool reached = !found.empty() && found.front().grade != Grade::kFail;
  std::move(found.begin(), found.end(), std::back_inserter(*findings));
  co_return reached;
}

Task<> ExamineLog(const Options& options, const std::string& scratch, const std::string& mark,
                  Findings* findings) {
  std::unique_ptr<EventLog> log;
  if (options.log == LogKind::kKafka) {
    log_kafka::TopicsProbe topics(options.kafka, {std::string(control::kControlTopic)});
    auto looking = Run(&topics, findings);
    const bool reached = co_await std::move(looking);
    if (!reached) co_return;
    auto kafka = log_kafka::KafkaLog::Open(options.kafka);
    if (!kafka.ok()) findings->push_back(Failed("log", "open", kafka.error()));
    if (kafka.ok()) log = std::move(*kafka);
  } else {
    auto embedded = log_embedded::EmbeddedLog::Open(scratch + "/log");
    if (!embedded.ok()) findings->push_back(Failed("log", "open", embedded.error()));
    if (embedded.ok()) log = std::move(*embedded);
  }
  if (!log) co_return;
  doctor::LogProbe probe(log.get(), mark);
  auto trying = Run(&probe, findings);
  co_await std::move(trying);
}

Task<> ExamineObjects(const Options& options, const std::string& scratch, const std::string& mark,
                      Findings* findings) {
  std::unique_ptr<ObjectStore> store;
  if (options.objects == ObjectsKind::kS3) {
    objectstore_s3::BucketProbe bucket(options.s3, mark);
    auto looking = Run(&bucket, findings);
    const bool reached = co_await std::move(looking);
    if (!reached) co_return;
    auto s3 = objectstore_s3::S3ObjectStore::Open(options.s3);
    if (!s3.ok()) findings->push_back(Failed("objects", "open", s3.error()));
    if (s3.ok()) store = std::move(*s3);
  } else {
    auto directory = objectstore_arrow::LocalObjectStore::Open(scratch + "/objects");
    if (!directory.ok()) findings->push_back(Failed("objects", "open", directory.error()));
    if (directory.ok()) store = std::move(*directory);
  }
  if (!store) co_return;
  doctor::ObjectsProbe probe(store.get(), mark);
  auto trying = Run(&probe, findings);
  co_await std::move(trying);
}

Task<> ExamineServing(const Options& options, const std::string& scratch, const std::string& mark,
                      Findings* findings) {
  if (options.serving == ServingKind::kPostgres) {
    serving_postgres::DatabaseProbe database(options.postgres, mark);
    auto looking = Run(&database, findings);
    co_await std::move(looking);
    co_return;
  }
  const auto sqlite = serving_sqlite::SqliteServingStore::Open(scratch + "/serving.db");
  findings->push_back(
      sqlite.ok() ? doctor::Finding{"serving", "file", Grade::kOk, "a file of tables can be made"}
                  : Failed("serving", "file", sqlite.error()));
}

doctor::Finding Space(const std::string& scratch) {
  std::error_code error;
  const auto space = std::filesystem::space(scratch, error);
  if (error) return {"disk", "space", Grade::kFail, error.message(), "see to the data directory"};
  const std::string found = std::to_string(space.available >> 20) + " MiB are free";
  if (space.available >= kRoom) return {"disk", "space", Grade::kOk, found};
  return {"disk", "space", Grade::kWarn, found, "make room, or choose another data directory"};
}

}  // namespace

Task<Findings> Examine(Options options, std::string scratch) {
  const uint64_t random = Executor::Current().Random();
  const std::string mark = Hex({reinterpret_cast<const char*>(&random), sizeof random});
  Findings findings;
  if (!scratch.empty()) findings.push_back(Space(scratch));
  auto log = ExamineLog(options, scratch, mark, &findings);
  co_await std::move(log);
  auto objects = ExamineObjects(options, scratch, mark, &findings);
  co_await std::move(objects);
  auto serving = ExamineServing(options, scratch, mark, &findings);
  co_await std::move(serving);
  co_return findings;
}

}  // namespace millrace::adapters
