#include "sim/cluster.h"

#include <algorithm>

#include "millrace/model/object_keys.h"
#include "millrace/runtime/data_records.h"
#include "support/list_all.h"
#include "support/output_rows.h"
#include "support/read_all.h"
#include "support/read_log.h"
#include "support/take_all.h"

namespace millrace::sim {

Cluster::Cluster(SimWorld* world, Faults f, runtime::Options options,
                 InMemoryLog::Options log_options)
    : Bodies(log_options),
      faults(f),
      world_(world),
      options_(options),
      outside_(world->NewProcess()),
      links_(this, &network_, &faults),
      network_(world) {}

void Cluster::StartNode() {
  node_.reset();
  node_ = std::make_unique<Process>(world_, this, &links_, Process::Setup{"node", options_});
}

void Cluster::KillNode() { node_.reset(); }

const Cluster::ControlSeen& Cluster::ReadControlLog() {
  const std::string topic(control::kControlTopic);
  const auto records = Outside(log.ReadAll(topic, PartitionId(0))).value();
  control_ = {};
  for (const LogRecord& record : records) {
    const control::Record decoded = control::Decode(record.value).value();
    const auto verdict = control_.fold.Apply(record.offset, record.append_time, decoded);
    control_.records.push_back({record.offset, decoded, verdict});
  }
  return control_;
}

StreamSpec Cluster::StreamNow(const std::string& name) {
  const StreamSpec* stream = ReadControlLog().fold.FindStream("default", name);
  MILLRACE_CHECK(stream != nullptr, "the control log has no such stream");
  return *stream;
}

bool Cluster::control_log_trimmed() {
  const std::string topic(control::kControlTopic);
  return Outside(log.Range(topic, PartitionId(0)))->start > Offset(0);
}

namespace {

/// What the records of a stream say.
class Reading {
 public:
  explicit Reading(const StreamSpec& stream)
      : stream_(stream), parser_(record_simdjson::JsonRecordParsers().ForStream(stream)) {}

  static std::optional<LogItem> ControlOf(const LogRecord& record) {
    if (!runtime::IsControl(record)) return std::nullopt;
    return runtime::DecodeControl(record).value();
  }
  EventBatch EventsOf(const LogRecord& record) const {
    if (stream_.format == RecordFormat::kArrow) {
      return blocks_
          .Decode(stream_, {record.owner, record.value}, record.offset, record.append_time)
          .value();
    }
    const auto sender = runtime::SenderOf(record).value();
    BatchBuilder builder(stream_);
    builder.BeginRecord(record.offset, record.append_time);
    const int16_t producer =
        sender ? builder.AddProducer(sender->principal, sender->producer, sender->acked_below)
               : int16_t{-1};
    const int64_t sequence = sender ? sender->sequence : 0;
    const auto verdict = parser_->Parse(record.value, &builder);
    if (verdict.reason == Reason::kNone) {
      builder.EndRow(producer, sequence, record.value);
    } else {
      builder.DefectRow(producer, sequence, verdict.reason, verdict.detail, record.value);
    }
    return builder.Build();
  }
  int64_t CountEvents(const LogRecord& record) const {
    return ControlOf(record) ? 0 : static_cast<int64_t>(EventsOf(record).rows);
  }

 private:
  const StreamSpec& stream_;
  const block_arrow::ArrowBlockCodec blocks_;
  const std::unique_ptr<RecordParser> parser_;
};

/// Folds the records of one shard's log, one after the other, without any runtime.
class LogFold {
 public:
  LogFold(const StreamSpec& stream, const PipelineSpec& pipeline, PartitionId partition,
          Micros not_before)
      : reading_(stream), fold_({stream, pipeline, partition, not_before}) {}

  void Add(const LogRecord& record) {
    if (const auto item = Reading::ControlOf(record)) {
      if (const auto* tick = std::get_if<Tick>(&*item)) fold_.Apply(*tick);
      if (const auto* advance = std::get_if<Advance>(&*item)) fold_.Apply(*advance);
    } else {
      fold_.Add(reading_.EventsOf(record));
    }
    TakeRows();
    expected_.made[Offset(record.offset.value + 1)] = fold_.last_rows();
  }
  /// Does not read it, because of a skip.
  void LeaveOut(const LogRecord& record) { expected_.left_out += reading_.CountEvents(record); }
  void Skip(const control::SkipState& skip, Offset place) {
    fold_.Skip(std::max<int64_t>(0, skip.to.value - place.value), skip.first_seqs, skip.epoch);
    TakeRows();
    expected_.made[skip.GoesOn(place)] = fold_.last_rows();
  }
  Expected Take() {
    expected_.ledger = fold_.ledger();
    return std::move(expected_);
  }

 private:
  void TakeRows() {
    for (const window::OutputRows& made : TakeAll(&fold_)) {
      Hash128 hash = made.before;
      for (ByteReader in(made.bytes); !in.done();) {
        const std::string_view bytes = in.Text();
        const OutputRow row = DecodeRow(bytes).value();
        if (row.file_end) expected_.file_hashes[row.seq] = hash.lo;
        if (!row.file_end) hash = ChainHash(hash, bytes);
      }
      for (OutputRow& row : DecodeRows(made.bytes)) expected_.rows.push_back(std::move(row));
    }
  }

  const Reading reading_;
  window::ShardFold fold_;
  Expected expected_;
};

}  // namespace

Expected FoldWholeLog(Cluster* cluster, const StreamSpec& stream, const PipelineSpec& pipeline,
                      const ShardId& shard) {
  const control::Fold control = cluster->ReadControlLog().fold;
  Offset place(0);
  Micros not_before = kMinusInfinity;
  std::vector<control::SkipState> skips;
  // A test may have made the log itself.
  if (const auto at = control.pipelines().find(shard.incarnation);
      at != control.pipelines().end()) {
    place = at->second.start_offsets.at(static_cast<size_t>(shard.partition.value));
    not_before = at->second.not_before;
    skips = control.shards().at(shard).skips;
  }
  LogFold fold(stream, pipeline, shard.partition, not_before);
  const auto records = cluster->Outside(cluster->log.ReadAll(stream.topic, shard.partition, place));
  auto skip = skips.begin();
  for (const LogRecord& record : records.value()) {
    for (; skip != skips.end() && record.offset >= skip->from; ++skip) {
      place = std::max(place, skip->from);
      fold.Skip(*skip, place);
      place = skip->GoesOn(place);
    }
    if (record.offset < place) {
      fold.LeaveOut(record);
      continue;
    }
    fold.Add(record);
    place = Offset(record.offset.value + 1);
  }
  return fold.Take();
}

int64_t EventsIn(Cluster* cluster, const StreamSpec& stream, PartitionId partition, Offset from,
                 Offset to) {
  const Reading reading(stream);
  int64_t events = 0;
  // Not from a place that may lie above the log's end.
  const auto records = cluster->Outside(cluster->log.ReadAll(stream.topic, partition));
  for (const LogRecord& record : records.value())
    if (record.offset >= from && record.offset < to) events += reading.CountEvents(record);
  return events;
}

namespace {

std::string Show(const std::vector<Value>& values) {
  std::string text;
  for (const Value& v : values) text += ValueText(v) + "|";
  return text;
}

/// The rows of a serving table: the declared columns, and for results which revision of which
/// number stands.
std::multiset<std::string> Served(Cluster* cluster, const Incarnation& incarnation, Output output,
                                  size_t columns) {
  ServingQuery query{incarnation.name_space,    incarnation.name, output, {}, {}, {},
                     output == Output::kResults};
  const auto table = cluster->Outside(test::ReadAll(&cluster->serving, query));
  std::multiset<std::string> rows;
  if (!table.ok()) return {"no table: " + table.error().message};
  for (const auto& row : table->rows) {
    std::string text = Show(std::vector<Value>(
        row.begin(), row.begin() + static_cast<std::ptrdiff_t>(std::min(columns, row.size()))));
    for (size_t i = columns; i < row.size(); ++i) {
      const std::string& name = table->names[i];
      if (name == "_revision" || name == "_seq") text += name + "=" + ValueText(row[i]) + "|";
    }
    rows.insert(text);
  }
  return rows;
}

std::string Digest(std::string_view bytes) {
  return std::to_string(bytes.size()) + " bytes " + std::to_string(Hash(bytes).lo);
}

std::string Compare(const std::string& what, const std::multiset<std::string>& expected,
                    const std::multiset<std::string>& actual) {
  if (expected == actual) return {};
  std::string text = what + ": expected " + std::to_string(expected.size()) + " rows, got " +
                     std::to_string(actual.size());
  for (const auto& row : expected) {
    if (actual.count(row) != expected.count(row)) {
      text += "\n  expected " + std::to_string(expected.count(row)) + " x " + row + " got " +
              std::to_string(actual.count(row));
      break;
    }
  }
  for (const auto& row : actual) {
    if (actual.count(row) != expected.count(row)) {
      text += "\n  got " + std::to_string(actual.count(row)) + " x " + row + " expected " +
              std::to_string(expected.count(row));
      break;
    }
  }
  return text + "\n";
}

}  // namespace

std::string Differences(Cluster* cluster, const StreamSpec& stream, const Incarnation& incarnation,
                        const PipelineSpec& pipeline, Folds* folds) {
  // What the serving store must hold in the end: of each group and window the last result. If it
  // has no result, its last provisional row.
  std::map<std::string, OutputRow> last;
  std::map<std::string, std::string> files;
  int64_t late = 0;
  int64_t quarantined = 0;
  for (int32_t p = 0; p < stream.partitions; ++p) {
    std::vector<OutputRow> file;
    const ShardId shard{incarnation, PartitionId(p)};
    Expected folded = FoldWholeLog(cluster, stream, pipeline, shard);
    const Expected& expected = folds == nullptr ? folded : (*folds)[shard] = std::move(folded);
    for (const OutputRow& row : expected.rows) {
      switch (row.output) {
        case Output::kResults:
        case Output::kProvisional: {
          auto [at, added] = last.emplace(ServingKey(row), row);
          const auto version = [](const OutputRow& r) { return std::pair(r.revision > 0, r.seq); };
          if (!added && version(at->second) < version(row)) at->second = row;
          break;
        }
        case Output::kFiles:
          if (!row.file_end) {
            file.push_back(row);
            break;
          }
          {
            std::string bytes;
            for (const OutputRow& r : file) EncodeRow(r, &bytes);
            const ResultFileKey key{shard, FormatDate(row.file_interval_start), row.file_first,
                                    row.seq, expected.file_hashes.at(row.seq)};
            files[key.ToString()] = bytes;
            file.clear();
          }
          break;
        case Output::kLate:
          ++late;
          break;
        case Output::kQuarantine:
          ++quarantined;
          break;
      }
    }
  }
  std::multiset<std::string> results;
  for (const auto& [key, row] : last) {
    if (row.deleted) continue;
    results.insert(Show(row.values) + "_revision=" + std::to_string(row.revision) +
                   "|_seq=" + std::to_string(row.seq) + "|");
  }
  std::string text = Compare(
      "results", results, Served(cluster, incarnation, Output::kResults, pipeline.select.size()));
  const auto count = [&](Output output, int64_t expected) {
    const auto got = static_cast<int64_t>(Served(cluster, incarnation, output, 0).size());
    if (got != expected) {
      text += std::string(OutputName(output)) + ": expected " + std::to_string(expected) +
              " rows, got " + std::to_string(got) + "\n";
    }
  };
  count(Output::kLate, late);
  count(Output::kQuarantine, quarantined);
  const auto listed = cluster->Outside(test::ListAll(&cluster->objects, ResultFolder(incarnation)));
  std::multiset<std::string> expected_files;
  std::multiset<std::string> actual_files;
  for (const auto& [name, bytes] : files) expected_files.insert(name + " " + Digest(bytes));
  for (const ObjectInfo& object : listed.value()) {
    actual_files.insert(object.key + " " +
                        Digest(cluster->Outside(cluster->objects.Get(object.key))->bytes));
  }
  return text + Compare("files", expected_files, actual_files);
}

}  // namespace millrace::sim
