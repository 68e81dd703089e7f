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

Expected FoldWholeLog(Cluster* cluster, const StreamSpec& stream, const PipelineSpec& pipeline,
                      PartitionId partition) {
  const block_arrow::ArrowBlockCodec blocks;
  const auto parser = record_simdjson::JsonRecordParsers().ForStream(stream);
  window::ShardFold fold({stream, pipeline, partition, kMinusInfinity});
  Expected expected;
  const auto records = cluster->Outside(cluster->log.ReadAll(stream.topic, partition));
  for (const LogRecord& record : records.value()) {
    if (runtime::IsControl(record)) {
      const LogItem item = runtime::DecodeControl(record).value();
      if (const auto* tick = std::get_if<Tick>(&item)) fold.Apply(*tick);
      if (const auto* advance = std::get_if<Advance>(&item)) fold.Apply(*advance);
    } else if (stream.format == RecordFormat::kArrow) {
      fold.Add(
          blocks.Decode(stream, {record.owner, record.value}, record.offset, record.append_time)
              .value());
    } else {
      const auto sender = runtime::SenderOf(record).value();
      BatchBuilder builder(stream);
      builder.BeginRecord(record.offset, record.append_time);
      const int16_t producer =
          sender ? builder.AddProducer(sender->principal, sender->producer, sender->acked_below)
                 : int16_t{-1};
      const int64_t sequence = sender ? sender->sequence : 0;
      const auto verdict = parser->Parse(record.value, &builder);
      if (verdict.reason == Reason::kNone) {
        builder.EndRow(producer, sequence, record.value);
      } else {
        builder.DefectRow(producer, sequence, verdict.reason, verdict.detail, record.value);
      }
      fold.Add(builder.Build());
    }
    for (const window::OutputRows& made : TakeAll(&fold)) {
      Hash128 hash = made.before;
      for (ByteReader in(made.bytes); !in.done();) {
        const std::string_view bytes = in.Text();
        const OutputRow row = DecodeRow(bytes).value();
        if (row.file_end) expected.file_hashes[row.seq] = hash.lo;
        if (!row.file_end) hash = ChainHash(hash, bytes);
      }
      for (OutputRow& row : DecodeRows(made.bytes)) expected.rows.push_back(std::move(row));
    }
    expected.made[Offset(record.offset.value + 1)] = fold.last_rows();
  }
  expected.ledger = fold.ledger();
  return expected;
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
                        const PipelineSpec& pipeline) {
  // What the serving store must hold in the end: of each group and window the last result. If it
  // has no result, its last provisional row.
  std::map<std::string, OutputRow> last;
  std::map<std::string, std::string> files;
  int64_t late = 0;
  int64_t quarantined = 0;
  for (int32_t p = 0; p < stream.partitions; ++p) {
    std::vector<OutputRow> file;
    const Expected expected = FoldWholeLog(cluster, stream, pipeline, PartitionId(p));
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
            const ResultFileKey key{{incarnation, PartitionId(p)},
                                    FormatDate(row.file_interval_start),
                                    row.file_first,
                                    row.seq,
                                    expected.file_hashes.at(row.seq)};
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
