#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "millrace/block_arrow/arrow_block_codec.h"
#include "millrace/ingest/gateway.h"
#include "millrace/log/in_memory_log.h"
#include "millrace/record_simdjson/json_record_parser.h"
#include "support/forwarding_log.h"
#include "support/read_log.h"
#include "support/recording_metrics.h"
#include "support/test_executor.h"

namespace millrace::ingest {

/// An in-memory log whose appends can be held back or answered with an error. As every log it makes
/// no append whose chain is broken.
class ScriptedLog : public test::ForwardingLog {
 public:
  ScriptedLog() : ForwardingLog(&log_) {}

  /// Appends wait until Release().
  bool hold = false;
  /// Given each append's number (from 0): the error that it gets instead, after or before it is
  /// written.
  std::function<std::optional<Error>(int number)> fail_before;
  std::function<std::optional<Error>(int number)> fail_after;
  std::vector<size_t> append_sizes;

  void Release() {
    hold = false;
    released_.Notify();
  }

  Task<Result<Offset>> Append(std::string topic, PartitionId partition, LogEntry entry) override {
    const int number = static_cast<int>(append_sizes.size());
    append_sizes.push_back(entry.value.size());
    while (hold) co_await released_.Wait();
    const auto chain = entry.chain;
    std::optional<Error> error;
    if (fail_before && !Broken(chain)) error = fail_before(number);
    Result<Offset> offset = BehindFailedAppend();
    if (!error) {
      auto append = log_.Append(std::move(topic), partition, std::move(entry));
      offset = co_await std::move(append);
      if (fail_after) error = fail_after(number);
    }
    if (error) offset = *error;
    if (!offset.ok() && offset.error().code != Code::kInvalidArgument) Break(chain);
    co_return offset;
  }

 private:
  InMemoryLog log_;
  millrace::Event released_;
};

/// A gateway over an in-memory log on the test executor.
class Fixture {
 public:
  explicit Fixture(Options options = {})
      : gateway(Ports{&log, &codec, &parsers, &metrics}, options) {}

  /// ts timestamptz NOT NULL, k text, v bigint NOT NULL.
  static StreamSpec Stream(int32_t partitions = 1, const std::string& name = "s") {
    StreamSpec s;
    s.name = name;
    s.columns = {
        {"ts", Type::kTimestamp, true}, {"k", Type::kText, false}, {"v", Type::kBigint, true}};
    s.event_time = 0;
    s.partition_key = 1;
    s.partitions = partitions;
    s.topic = "default." + name;
    return s;
  }

  void Add(const StreamSpec& stream) {
    const Status made = executor.RunUntilDone(log.CreateTopic({stream.topic, stream.partitions}));
    if (!made.ok()) throw std::logic_error(made.error().ToString());
    gateway.SetStream(stream);
    spec = stream;
  }

  static std::string Json(const std::string& key, int64_t v) {
    return R"({"ts":"2001-01-01T00:00:00Z","k":")" + key + R"(","v":)" + std::to_string(v) + "}";
  }

  /// A request of one producer; keeps the payloads.
  PublishRequest Request(std::vector<std::string> payloads, int64_t first_sequence = 0,
                         int64_t acked_below = 0, const std::string& producer = "p1") {
    auto owned = std::make_shared<std::vector<std::string>>(std::move(payloads));
    PublishRequest r;
    r.stream = spec.name;
    r.producer_id = producer;
    r.first_sequence = first_sequence;
    r.acked_below = acked_below;
    for (const std::string& p : *owned) {
      Event event;
      event.payload = p;
      r.events.push_back(event);
    }
    r.owner = owned;
    return r;
  }

  PublishReply Publish(PublishRequest request) {
    return executor.RunUntilDone(gateway.Accept(Principal(), std::move(request)));
  }

  /// Starts a call on the executor; its reply arrives in the place that is given back.
  std::shared_ptr<std::optional<PublishReply>> Start(PublishRequest request,
                                                     std::shared_ptr<Lane> lane = nullptr) {
    auto reply = std::make_shared<std::optional<PublishReply>>();
    executor.Spawn([](Gateway* g, PublishRequest r, std::shared_ptr<Lane> l,
                      std::shared_ptr<std::optional<PublishReply>> out) -> Task<void> {
      auto accept = g->Accept(Principal(), std::move(r), std::move(l));
      PublishReply value = co_await std::move(accept);
      *out = std::move(value);
    }(&gateway, std::move(request), std::move(lane), reply));
    return reply;
  }

  std::vector<LogRecord> Records(int32_t partition = 0) {
    return executor.RunUntilDone(test::ReadLog(&log, spec.topic, PartitionId(partition))).value();
  }
  std::vector<EventBatch> Blocks(int32_t partition = 0) {
    std::vector<EventBatch> blocks;
    for (const LogRecord& r : Records(partition))
      blocks.push_back(
          codec.Decode(spec, Buffer{r.owner, r.value}, r.offset, r.append_time).value());
    return blocks;
  }

  test::TestExecutor executor;
  ScriptedLog log;
  block_arrow::ArrowBlockCodec codec;
  record_simdjson::JsonRecordParsers parsers;
  test::RecordingMetrics metrics;
  Gateway gateway;
  StreamSpec spec;
};

inline std::vector<std::string> Events(int n, int64_t first = 0) {
  std::vector<std::string> events;
  for (int i = 0; i < n; ++i) events.push_back(Fixture::Json("k" + std::to_string(i), first + i));
  return events;
}

inline std::string Header(const LogRecord& record, std::string_view name) {
  for (const LogHeader& h : record.headers)
    if (h.name == name) return h.value;
  return "absent";
}

}  // namespace millrace::ingest
