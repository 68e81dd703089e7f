// Prints what really was in a partition of a data directory's log as a case (docs/testing.md), for
// the oracle to fold.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "millrace/adapters/adapters.h"
#include "millrace/block_arrow/arrow_block_codec.h"
#include "millrace/control/control_reader.h"
#include "millrace/driver/thread_driver.h"
#include "millrace/model/row.h"
#include "millrace/record_simdjson/json_record_parser.h"
#include "millrace/runtime/data_records.h"
#include "millrace/sql/planner.h"
#include "support/recording_metrics.h"

namespace millrace {
namespace {

constexpr const char* kHelp =
    "usage: millrace-logdump DATA_DIR STREAM PARTITION FILE.sql [CONFIG.yaml]\n"
    "\n"
    "Prints the records of a partition as a case: FILE.sql holds the stream and one view. No "
    "process may\n"
    "have the directory open. CONFIG.yaml says which log, if not the embedded one.\n";

constexpr size_t kReadBytes = 4 << 20;

/// Numbers events, ticks and Advances from 0 as a case wants them, whatever shares a log record.
class Dumper {
 public:
  explicit Dumper(const StreamSpec& stream) : stream_(stream) {}

  void Add(const LogRecord& record) {
    if (runtime::IsControl(record)) return AddControl(record);
    if (stream_.format == RecordFormat::kArrow) {
      const block_arrow::ArrowBlockCodec codec;
      const auto batch =
          codec.Decode(stream_, {record.owner, record.value}, record.offset, record.append_time);
      if (!batch.ok()) return AddRaw(record.append_time, "");
      for (uint32_t row = 0; row < batch->rows; ++row) AddRow(*batch, row, record.append_time);
      return;
    }
    const auto parser = record_simdjson::JsonRecordParsers().ForStream(stream_);
    const auto sender = runtime::SenderOf(record).value();
    BatchBuilder builder(stream_);
    builder.BeginRecord(record.offset, record.append_time);
    const int16_t producer =
        sender ? builder.AddProducer(sender->principal, sender->producer, sender->acked_below)
               : int16_t{-1};
    if (parser->Parse(record.value, &builder).reason != Reason::kNone)
      return AddRaw(record.append_time, record.value);
    builder.EndRow(producer, sender ? sender->sequence : 0);
    AddRow(builder.Build(), 0, record.append_time);
  }

 private:
  void Begin(const char* kind, Micros append_time) {
    std::printf("%s{\"offset\":%ld,\"kind\":\"%s\",\"append_time\":%ld", next_ == 0 ? "" : ",\n",
                next_, kind, append_time);
    ++next_;
  }

  void AddControl(const LogRecord& record) {
    const LogItem item = runtime::DecodeControl(record).value();
    if (const auto* tick = std::get_if<Tick>(&item)) {
      offsets_[record.offset.value] = next_;
      Begin("tick", record.append_time);
      const auto previous = offsets_.find(tick->previous.value);
      std::printf(",\"prev\":%s,\"elapsed\":%ld}",
                  previous == offsets_.end() ? "null" : std::to_string(previous->second).c_str(),
                  tick->elapsed);
    } else {
      const Micros to = std::get<Advance>(item).to;
      Begin("advance", record.append_time);
      std::printf(",\"to\":%s}", to == kPlusInfinity ? "\"infinity\"" : std::to_string(to).c_str());
    }
  }

  void AddRaw(Micros append_time, std::string_view payload) {
    Begin("event", append_time);
    std::printf(",\"producer\":null,\"seq\":null,\"acked_below\":0,\"raw\":%s}",
                JsonQuote(payload).c_str());
  }

  void AddRow(const EventBatch& batch, uint32_t row, Micros append_time) {
    Begin("event", append_time);
    if (batch.producer != nullptr && batch.producer[row] >= 0) {
      const Producer& producer = batch.producers[static_cast<size_t>(batch.producer[row])];
      std::printf(",\"producer\":%s,\"seq\":%ld,\"acked_below\":%ld",
                  JsonQuote(producer.id).c_str(), batch.sequence[row], producer.acked_below);
    } else {
      std::printf(",\"producer\":null,\"seq\":null,\"acked_below\":0");
    }
    std::printf(",\"values\":{");
    for (size_t c = 0; c < stream_.columns.size(); ++c) {
      const Value value = Value::From(batch.columns[c], row);
      const bool time = value.type == Type::kTimestamp && !value.is_null();
      std::printf(
          "%s%s:%s", c == 0 ? "" : ",", JsonQuote(stream_.columns[c].name).c_str(),
          time ? std::to_string(std::get<int64_t>(value.data)).c_str() : ValueJson(value).c_str());
    }
    std::printf("}}");
  }

  const StreamSpec& stream_;
  int64_t next_ = 0;
  std::map<int64_t, int64_t> offsets_;  ///< of ticks: log to case
};

Result<std::unique_ptr<EventLog>> OpenLog(const std::string& data_dir, const std::string& config,
                                          MetricRegistry* metrics) {
  adapters::Options options;
  config::Settings settings;
  adapters::AddSettings(&options, &settings);
  MILLRACE_TRY(settings.Load({config, {}, {}}));
  return adapters::OpenLog(options, data_dir, metrics);
}

int Run(const std::string& data_dir, const std::string& name, int32_t partition,
        const std::string& sql, const std::string& config) {
  const auto statements = PlanScript(sql);
  if (!statements.ok())
    return std::fprintf(stderr, "%s\n", statements.error().message.c_str()), EXIT_FAILURE;
  const StreamSpec* planned = nullptr;
  for (const Statement& s : *statements) {
    const auto* candidate = std::get_if<StreamSpec>(&s);
    if (candidate != nullptr && candidate->name == name) planned = candidate;
  }
  test::RecordingMetrics metrics;
  const auto log = OpenLog(data_dir, config, &metrics);
  if (planned == nullptr || !log.ok()) {
    std::fprintf(stderr, "millrace-logdump: %s\n",
                 log.ok() ? "the script has no such stream" : log.error().message.c_str());
    return EXIT_FAILURE;
  }
  ThreadDriver driver({.cores = 1, .blocking_threads = 1, .on_failure = {}});
  // Its blocks name the generation that the control log gave the stream.
  control::ControlReader control(log->get());
  const Status folded = RunBlocking(driver.core(0), control.Start());
  const StreamSpec* stream =
      folded.ok() ? control.fold().FindStream(planned->name_space, name) : nullptr;
  if (stream == nullptr) {
    std::fprintf(stderr, "millrace-logdump: %s\n",
                 folded.ok() ? "the directory has no such stream" : folded.error().message.c_str());
    return EXIT_FAILURE;
  }
  std::printf("{\"sql\":%s,\n\"create_time\":%s,\n\"records\":[\n", JsonQuote(sql).c_str(),
              stream->append_times ? "false" : "true");
  Dumper dumper(*stream);
  const auto range =
      RunBlocking(driver.core(0), (*log)->Range(stream->topic, PartitionId(partition)));
  if (!range.ok()) return std::fprintf(stderr, "%s\n", range.error().message.c_str()), EXIT_FAILURE;
  const auto reader = (*log)->OpenReader(stream->topic, PartitionId(partition), range->start);
  for (Offset next = range->start; next < range->end;) {
    const auto batch =
        RunBlocking(driver.core(0), reader->Next(kReadBytes, std::chrono::seconds(1)));
    if (!batch.ok())
      return std::fprintf(stderr, "%s\n", batch.error().message.c_str()), EXIT_FAILURE;
    for (const LogRecord& record : batch->records) dumper.Add(record);
    next = batch->next;
  }
  std::printf("\n]}\n");
  driver.Stop();
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  if (argc != 5 && argc != 6) {
    std::fputs(millrace::kHelp, stderr);
    return 2;
  }
  std::ifstream file(argv[4]);
  std::ostringstream sql;
  sql << file.rdbuf();
  return millrace::Run(argv[1], argv[2], std::atoi(argv[3]), sql.str(), argc == 6 ? argv[5] : "");
}
