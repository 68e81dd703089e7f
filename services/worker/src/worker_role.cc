#include "millrace/worker/worker_role.h"

#include "millrace/block_arrow/arrow_block_codec.h"
#include "millrace/record_simdjson/json_record_parser.h"
#include "millrace/resultfile_parquet/parquet_result_file.h"
#include "millrace/state_rocksdb/rocks_state.h"

namespace millrace::service {

struct WorkerStores::Stores {
  MetricRegistry* metrics;
  std::unique_ptr<adapters::Objects> objects;
  adapters::Serving serving;
  state_rocksdb::RocksStates states;
  resultfile_parquet::ParquetResultFileWriter files;
  block_arrow::ArrowBlockCodec blocks;
  record_simdjson::JsonRecordParsers records;
};

Result<std::unique_ptr<WorkerStores>> WorkerStores::Open(const adapters::Options& options,
                                                         const std::string& data_dir,
                                                         MetricRegistry* metrics) {
  MILLRACE_ASSIGN(auto objects, adapters::OpenObjects(options, data_dir, metrics));
  MILLRACE_ASSIGN(auto serving, adapters::OpenServing(options, data_dir));
  std::unique_ptr<Stores> stores(new Stores{metrics,
                                            std::move(objects),
                                            std::move(serving),
                                            state_rocksdb::RocksStates(data_dir + "/state"),
                                            {},
                                            {},
                                            {}});
  MILLRACE_TRY(stores->states.Clear());
  return std::unique_ptr<WorkerStores>(new WorkerStores(std::move(stores)));
}

WorkerStores::WorkerStores(std::unique_ptr<Stores> stores) : stores_(std::move(stores)) {}
WorkerStores::~WorkerStores() = default;

runtime::Ports WorkerStores::ports(EventLog* log) {
  return {log,
          stores_->objects->port(),
          &stores_->states,
          stores_->serving.tables,
          stores_->serving.writer,
          stores_->serving.reader,
          &stores_->files,
          &stores_->blocks,
          &stores_->records,
          stores_->metrics};
}

}  // namespace millrace::service
