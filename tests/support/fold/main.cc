#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <optional>

#include "millrace/block_arrow/arrow_block_codec.h"
#include "millrace/record_simdjson/json_record_parser.h"
#include "support/fold/case_file.h"
#include "support/fold/print.h"
#include "support/fold/restart.h"
#include "support/output_rows.h"
#include "support/take_all.h"

namespace millrace::fold {
namespace {

constexpr int kUsage = 2;
constexpr int kRefused = 3;

constexpr const char* kHelp =
    "usage: millrace-fold [--restart-everywhere] [--disk] [--batch N] [--part BYTES] [--blocks] "
    "CASE.json\n"
    "\n"
    "Folds the log of a case with the engine and prints what came out as one JSON object.\n"
    "\n"
    "  --restart-everywhere  after every record cut a checkpoint, throw all memory away and "
    "restore\n"
    "  --disk                those checkpoints through RocksDB and files, not in memory\n"
    "  --batch N             give the engine up to N consecutive records at a time\n"
    "  --part BYTES          take the rows that a record makes due in parts of this size\n"
    "  --blocks              feed events in columnar blocks instead of one-event json records\n"
    "\n"
    "Exit status: 0, 1 the case is malformed, 2 usage, 3 the case needs what is not built.\n";

struct Options {
  bool restart = false;
  bool blocks = false;
  bool disk = false;
  size_t batch = 64;
  size_t part = 4 << 20;
  std::string path;
};

bool ParseOptions(int argc, char** argv, Options* options) {
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg == "--restart-everywhere") {
      options->restart = true;
    } else if (arg == "--disk") {
      options->disk = true;
    } else if (arg == "--blocks") {
      options->blocks = true;
    } else if ((arg == "--batch" || arg == "--part") && i + 1 < argc) {
      const std::string_view digits = argv[++i];
      const char* last = digits.data() + digits.size();
      size_t* const number = arg == "--batch" ? &options->batch : &options->part;
      const auto [end, error] = std::from_chars(digits.data(), last, *number);
      if (error != std::errc() || end != last) return false;
    } else if (arg.starts_with("-") || !options->path.empty()) {
      return false;
    } else {
      options->path = arg;
    }
  }
  return !options->path.empty() && options->batch > 0;
}

/// Turns a case's records into what a partition reader hands to the fold.
class Feeder {
 public:
  Feeder(const Case& c, const Options& options)
      : case_(c),
        options_(options),
        parser_(parsers_.ForStream(c.stream)),
        builder_(c.stream) {}

  /// The next items: at most one batch of events or one control record. Empty at the end.
  std::vector<LogItem> Next() {
    if (at_ == case_.records.size()) return {};
    const CaseRecord& record = case_.records[at_];
    if (const auto* tick = std::get_if<CaseTick>(&record.what)) {
      ++at_;
      return {
          Tick{Offset(record.offset), record.append_time, Offset(tick->previous), tick->elapsed}};
    }
    if (const auto* advance = std::get_if<CaseAdvance>(&record.what)) {
      ++at_;
      return {Advance{Offset(record.offset), record.append_time, advance->to}};
    }
    if (options_.blocks && Readable(record)) return {Block()};
    return {JsonRecords()};
  }

 private:
  const CaseEvent* EventAt(size_t i) const {
    return i < case_.records.size() ? std::get_if<CaseEvent>(&case_.records[i].what) : nullptr;
  }

  bool Readable(const CaseRecord& record) {
    BatchBuilder scratch(case_.stream);
    scratch.BeginRecord(Offset(0), 0);
    return parser_->Parse(std::get<CaseEvent>(record.what).payload, &scratch).reason ==
           Reason::kNone;
  }

  void Append(const CaseEvent& event) {
    const int16_t producer =
        event.identity ? builder_.AddProducer("local", event.identity->first, event.acked_below)
                       : int16_t{-1};
    const int64_t sequence = event.identity ? event.identity->second : 0;
    const auto verdict = parser_->Parse(event.payload, &builder_);
    if (verdict.reason == Reason::kNone) {
      builder_.EndRow(producer, sequence, event.payload);
    } else {
      builder_.DefectRow(producer, sequence, verdict.reason, verdict.detail, event.payload);
    }
  }

  LogItem JsonRecords() {
    const size_t limit = options_.restart ? 1 : options_.batch;
    for (size_t n = 0; n < limit && EventAt(at_) != nullptr; ++n, ++at_) {
      if (options_.blocks && n > 0 && Readable(case_.records[at_])) break;
      builder_.BeginRecord(Offset(case_.records[at_].offset), case_.records[at_].append_time);
      Append(*EventAt(at_));
    }
    return builder_.Build();
  }

  /// Events that one request could have carried: one append time, and one acked_below a producer.
  LogItem Block() {
    const CaseRecord& first = case_.records[at_];
    std::map<std::string, int64_t> acked;
    builder_.BeginRecord(Offset(0), 0);
    for (size_t n = 0; n < options_.batch && EventAt(at_) != nullptr; ++n, ++at_) {
      const CaseRecord& record = case_.records[at_];
      const CaseEvent& event = *EventAt(at_);
      if (record.append_time != first.append_time || !Readable(record)) break;
      if (event.identity) {
        const auto [known, added] = acked.emplace(event.identity->first, event.acked_below);
        if (!added && known->second != event.acked_below) break;
      }
      Append(event);
    }
    auto bytes = codec_.Encode(case_.stream, builder_.Build());
    return codec_
        .Decode(case_.stream, Buffer::Own(std::move(bytes).value()), Offset(first.offset),
                first.append_time)
        .value();
  }

  const Case& case_;
  const Options& options_;
  const record_simdjson::JsonRecordParsers parsers_;
  std::unique_ptr<RecordParser> parser_;
  const block_arrow::ArrowBlockCodec codec_;
  BatchBuilder builder_;
  size_t at_ = 0;
};

Offset NextOffset(const LogItem& item) {
  Offset last;
  if (const auto* batch = std::get_if<EventBatch>(&item)) last = batch->records.back().offset;
  if (const auto* tick = std::get_if<Tick>(&item)) last = tick->offset;
  if (const auto* advance = std::get_if<Advance>(&item)) last = advance->offset;
  return Offset(last.value + 1);
}

int Run(const Options& options) {
  const auto c = ReadCase(options.path);
  if (!c.ok()) {
    std::fprintf(stderr, "millrace-fold: %s\n", c.error().message.c_str());
    return c.error().code == Code::kConflict ? kRefused : EXIT_FAILURE;
  }
  const window::FoldSpec spec{c->stream, c->pipeline, PartitionId(0), c->not_before, options.part};
  auto fold = std::make_unique<window::ShardFold>(spec);
  std::vector<OutputRow> rows;
  std::optional<Restarter> restarter;
  if (options.restart) restarter.emplace(options.disk);
  Feeder feeder(*c, options);
  for (auto items = feeder.Next(); !items.empty(); items = feeder.Next()) {
    for (const LogItem& item : items) {
      if (const auto* batch = std::get_if<EventBatch>(&item)) fold->Add(*batch);
      if (const auto* tick = std::get_if<Tick>(&item)) fold->Apply(*tick);
      if (const auto* advance = std::get_if<Advance>(&item)) fold->Apply(*advance);
    }
    for (const window::OutputRows& made : TakeAll(fold.get())) {
      for (OutputRow& row : DecodeRows(made.bytes)) rows.push_back(std::move(row));
    }
    if (!fold->ledger().Balanced()) {
      std::fprintf(stderr, "millrace-fold: the ledger does not balance\n");
      return EXIT_FAILURE;
    }
    if (options.restart) fold = restarter->Restart(std::move(fold), spec, NextOffset(items.back()));
  }
  std::printf("%s\n", PrintOutput(c->pipeline, rows, fold->ledger(), fold->watermark()).c_str());
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace millrace::fold

int main(int argc, char** argv) {
  millrace::fold::Options options;
  if (argc == 2 && std::strcmp(argv[1], "--help") == 0) {
    std::fputs(millrace::fold::kHelp, stdout);
    return EXIT_SUCCESS;
  }
  if (!millrace::fold::ParseOptions(argc, argv, &options)) {
    std::fputs(millrace::fold::kHelp, stderr);
    return millrace::fold::kUsage;
  }
  return millrace::fold::Run(options);
}
