#include "millrace/worker/worker_role.h"

#include "millrace/block_arrow/arrow_block_codec.h"
#include "millrace/objectstore/metered_object_store.h"
#include "millrace/objectstore/retrying_object_store.h"
#include "millrace/objectstore_arrow/local_object_store.h"
#include "millrace/record_simdjson/json_record_parser.h"
#include "millrace/resultfile_parquet/parquet_result_file.h"
#include "millrace/serving_sqlite/sqlite_serving_store.h"
#include "millrace/state_rocksdb/rocks_state.h"

namespace millrace::service {

struct WorkerStores::Stores {
  Stores(std::unique_ptr<objectstore_arrow::LocalObjectStore> o,
         std::unique_ptr<serving_sqlite::SqliteServingStore> s, const std::string& state_dir,
         MetricRegistry* m)
      : metrics(m),
        directory(std::move(o)),
        metered(directory.get(), metrics),
        objects(&metered),
        serving(std::move(s)),
        states(state_dir) {}

  MetricRegistry* const metrics;
  std::unique_ptr<objectstore_arrow::LocalObjectStore> directory;
  MeteredObjectStore metered;  ///< counts every try
  RetryingObjectStore objects;
  std::unique_ptr<serving_sqlite::SqliteServingStore> serving;
  state_rocksdb::RocksStates states;
  resultfile_parquet::ParquetResultFileWriter files;
  block_arrow::ArrowBlockCodec blocks;
  record_simdjson::JsonRecordParsers records;
};

Result<std::unique_ptr<WorkerStores>> WorkerStores::Open(const std::string& data_dir,
                                                         MetricRegistry* metrics) {
  MILLRACE_ASSIGN(auto objects, objectstore_arrow::LocalObjectStore::Open(data_dir + "/objects"));
  MILLRACE_ASSIGN(auto serving, serving_sqlite::SqliteServingStore::Open(data_dir + "/serving.db"));
  auto stores = std::make_unique<Stores>(std::move(objects), std::move(serving),
                                         data_dir + "/state", metrics);
  MILLRACE_TRY(stores->states.Clear());
  return std::unique_ptr<WorkerStores>(new WorkerStores(std::move(stores)));
}

WorkerStores::WorkerStores(std::unique_ptr<Stores> stores) : stores_(std::move(stores)) {}
WorkerStores::~WorkerStores() = default;

runtime::Ports WorkerStores::ports(EventLog* log) {
  return {log,
          &stores_->objects,
          &stores_->states,
          stores_->serving.get(),
          stores_->serving.get(),
          stores_->serving.get(),
          &stores_->files,
          &stores_->blocks,
          &stores_->records,
          stores_->metrics};
}

}  // namespace millrace::service
