#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "millrace/block_arrow/arrow_block_codec.h"
#include "millrace/driver/thread_driver.h"
#include "millrace/ingest/gateway.h"
#include "millrace/log_embedded/embedded_log.h"
#include "millrace/record_simdjson/json_record_parser.h"
#include "millrace/rpc/server.h"
#include "support/forwarding_log.h"
#include "support/read_log.h"
#include "support/recording_metrics.h"

namespace millrace::test {

/// A log that does not take every append: `take` is given the number of each, from 0.
class TroubledLog : public ForwardingLog {
 public:
  TroubledLog(std::unique_ptr<EventLog> log, std::function<bool(int64_t)> take)
      : ForwardingLog(log.get()), log_(std::move(log)), take_(std::move(take)) {}

  Task<Result<Offset>> Append(std::string topic, PartitionId partition, LogEntry entry) override {
    if (!take_ || take_(appends_++)) {
      auto append = ForwardingLog::Append(std::move(topic), partition, std::move(entry));
      auto offset = co_await std::move(append);
      co_return offset;
    }
    Break(entry.chain);
    co_return Unavailable("the disk is full");
  }

 private:
  const std::unique_ptr<EventLog> log_;
  std::function<bool(int64_t)> take_;
  std::atomic<int64_t> appends_{0};
};

/// A gateway process in this one: gRPC server, gateway, embedded log.
class GatewayProcess {
 public:
  GatewayProcess(const std::string& log_directory, const StreamSpec& stream,
                 const std::string& listen = "127.0.0.1:0", rpc::ServerOptions options = {},
                 ingest::Options gateway_options = {}, std::function<bool(int64_t)> take = {})
      : log_(std::make_unique<TroubledLog>(log_embedded::EmbeddedLog::Open(log_directory).value(),
                                           std::move(take))),
        driver_({1, 2, {}}),
        gateway_(ingest::Ports{log_.get(), &codec_, &parsers_, &metrics_}, gateway_options) {
    const Status made =
        RunBlocking(driver_.core(0), log_->CreateTopic({stream.topic, stream.partitions}));
    if (!made.ok()) throw std::runtime_error(made.error().ToString());
    RunBlocking(driver_.core(0), [](ingest::Gateway* g, StreamSpec s) -> Task<bool> {
      g->SetStream(std::move(s));
      co_return true;
    }(&gateway_, stream));
    options.listen = listen;
    rpc::Services services;
    services.gateway_executor = &driver_.core(0);
    services.gateway = &gateway_;
    server_ = rpc::Server::Start(options, services).value();
  }
  ~GatewayProcess() {
    server_.reset();
    driver_.Stop();
  }

  /// Ends everything under way without an answer, as a kill would.
  void Kill() {
    driver_.Stop();
    server_.reset();
  }

  const std::string& address() const { return server_->address(); }
  const RecordingMetrics& metrics() const { return metrics_; }
  rpc::Server& server() { return *server_; }

  std::vector<LogRecord> Records(const StreamSpec& stream, int32_t partition) {
    return RunBlocking(driver_.core(0),
                       test::ReadLog(log_.get(), stream.topic, PartitionId(partition)))
        .value();
  }
  /// Sequences of each producer in the order of the partition's log.
  std::map<std::string, std::vector<int64_t>> Sequences(const StreamSpec& stream,
                                                        int32_t partition) {
    std::map<std::string, std::vector<int64_t>> out;
    for (const LogRecord& r : Records(stream, partition)) {
      const EventBatch b =
          codec_.Decode(stream, Buffer{r.owner, r.value}, r.offset, r.append_time).value();
      for (size_t row = 0; row < b.rows; ++row)
        out[b.producers[static_cast<size_t>(b.producer[row])].id].push_back(b.sequence[row]);
    }
    return out;
  }

 private:
  std::unique_ptr<TroubledLog> log_;
  block_arrow::ArrowBlockCodec codec_;
  record_simdjson::JsonRecordParsers parsers_;
  RecordingMetrics metrics_;
  ThreadDriver driver_;
  ingest::Gateway gateway_;
  std::unique_ptr<rpc::Server> server_;
};

}  // namespace millrace::test
