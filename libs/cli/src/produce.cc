#include "millrace/cli/produce.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "ledgers.h"
#include "millrace/base/bytes.h"
#include "millrace/base/run_now.h"
#include "millrace/cli/csv_to_json.h"
#include "millrace/cli/records.h"
#include "millrace/model/row.h"
#include "progress.h"
#include "rejects.h"

namespace millrace::cli {
namespace {

using Clock = std::chrono::steady_clock;

/// Refusals told one by one; the rest as a count.
constexpr size_t kShownRefusals = 10;
/// What a warning shows of other contents under the same id.
constexpr int64_t kShownContents = 3;
constexpr size_t kShownDigest = 12;
/// More events than can be without an outcome: the gateway takes no number 65,536 above the first
/// that has none.
constexpr size_t kRememberedLines = 1 << 17;

/// Which line an event came from, as long as its outcome may be unknown.
class EventLines {
 public:
  void Set(int64_t sequence, int64_t line) { At(sequence).store(line, std::memory_order_relaxed); }
  int64_t Of(int64_t sequence) { return At(sequence).load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t>& At(int64_t sequence) {
    return lines_[static_cast<size_t>(sequence) % kRememberedLines];
  }

  std::vector<std::atomic<int64_t>> lines_ = std::vector<std::atomic<int64_t>>(kRememberedLines);
};

/// What was refused, by the gateway or here. Threads: any.
class Refusals {
 public:
  void Add(int64_t line, const std::string& reason, const std::string& message) {
    std::lock_guard lock(mutex_);
    ++count_;
    first_.emplace(line, reason + ": " + message);
    if (first_.size() > kShownRefusals) first_.erase(std::prev(first_.end()));
  }
  int64_t count() const {
    std::lock_guard lock(mutex_);
    return count_;
  }
  void Tell(const std::string& input, const Console& console) const {
    std::lock_guard lock(mutex_);
    for (const auto& [line, text] : first_)
      console.Note("refused: " + input + " line " + std::to_string(line) + ": " + text);
    const auto more = count_ - static_cast<int64_t>(first_.size());
    if (more > 0) console.Note("refused: " + std::to_string(more) + " more");
  }

 private:
  mutable std::mutex mutex_;
  int64_t count_ = 0;
  std::multimap<int64_t, std::string> first_;
};

/// Lets `rate` events a second through.
class Pace {
 public:
  explicit Pace(double rate) : rate_(rate) {}

  void Wait(int64_t sent) {
    if (rate_ <= 0 || sent < allowed_) return;
    for (;;) {
      const std::chrono::duration<double> passed = Clock::now() - start_;
      allowed_ = static_cast<int64_t>(passed.count() * rate_) + 1;
      if (sent < allowed_) return;
      std::this_thread::sleep_until(
          start_ + std::chrono::duration_cast<Clock::duration>(
                       std::chrono::duration<double>(static_cast<double>(sent) / rate_)));
    }
  }

 private:
  const double rate_;
  const Clock::time_point start_ = Clock::now();
  int64_t allowed_ = 0;
};

/// Gives back bytes that were read to see what they are.
class Peeked : public ByteSource {
 public:
  explicit Peeked(ByteSource* source) : source_(source) {}

  /// The first byte that is no white space or part of a byte order mark; 0 if there is none near.
  Result<char> FirstByte() {
    std::array<char, 64> piece;
    MILLRACE_ASSIGN(const size_t n, source_->Read(piece.data(), piece.size()));
    head_.assign(piece.data(), n);
    const size_t at = head_.find_first_not_of(" \t\r\n\xef\xbb\xbf");
    return at == std::string::npos ? '\0' : head_[at];
  }

  Result<size_t> Read(char* to, size_t size) override {
    if (head_.empty()) return source_->Read(to, size);
    const size_t n = std::min(size, head_.size());
    std::copy_n(head_.begin(), n, to);
    head_.erase(0, n);
    return n;
  }

 private:
  ByteSource* source_;
  std::string head_;
};

std::string RandomId() {
  std::random_device device;
  std::string bytes;
  for (int i = 0; i < 4; ++i) {
    const uint32_t v = device();
    bytes.append(reinterpret_cast<const char*>(&v), sizeof v);
  }
  return Hex(bytes);
}

/// One run of `produce`.
class Run {
 public:
  Run(operations::Operations& cluster, const OpenEventSink& open, const ProduceOptions& options,
      const Console& console)
      : cluster_(cluster), open_(open), options_(options), console_(console) {}

  int Do() {
    name_ = QualifiedName::Parse(options_.stream);
    const auto stream = RunNow(cluster_.DescribeStream(name_.name_space, name_.name));
    if (!stream.ok()) return console_.Fail(stream.error());
    stream_ = stream->spec;
    const auto reached = ReachedBy(cluster_, name_);
    if (!reached.ok()) return console_.Fail(reached.error());
    ledgers_.emplace(&cluster_, name_, *reached);
    for (const operations::PipelineInfo& pipeline : *reached) {
      if (pipeline.read_watermark == kPlusInfinity)
        ended_.push_back(QualifiedName::Of(pipeline.incarnation).ToString());
    }
    auto input = Input::Open(options_.input);
    // A missing file is no missing part of the cluster, for which kExitNotFound stands.
    if (!input.ok()) return console_.Fail(Internal(input.error().message));
    input_ = std::move(input).value();
    const auto producer = ProducerId();
    if (!producer.ok()) return console_.Fail(producer.error());
    const Status warned = WarnOfOtherContent(*producer);
    if (!warned.ok()) return console_.Fail(warned.error());
    if (options_.rejects) {
      auto rejects = Rejects::Create(*options_.rejects, options_.input);
      if (!rejects.ok()) return console_.Fail(rejects.error());
      rejects_ = std::move(rejects).value();
    }
    const Status opened = OpenSink(*producer);
    if (!opened.ok()) return console_.Fail(opened.error());
    const Clock::time_point start = Clock::now();
    Status done = Send();
    seconds_ = std::chrono::duration<double>(Clock::now() - start).count();
    if (done.ok() && input_->repeatable()) done = input_->CheckUnchanged();
    return Report(done);
  }

 private:
  Status OpenSink(const std::string& producer) {
    SinkOptions to{name_, producer, options_.dry_run, {}, {}};
    to.on_refused = [this](const RefusedEvent& refused) {
      refusals_.Add(lines_.Of(refused.sequence), refused.reason, refused.message);
      if (rejects_) rejects_->Settle(refused.sequence, refused.reason + ": " + refused.message);
    };
    if (rejects_)
      to.on_acknowledged = [this](int64_t sequence) { rejects_->Settle(sequence, std::nullopt); };
    MILLRACE_ASSIGN(sink_, open_(std::move(to)));
    return {};
  }

  Result<std::string> ProducerId() {
    const std::string id = options_.producer_id.value_or(std::string(kDefaultProducerId));
    if (input_->repeatable()) {
      MILLRACE_ASSIGN(const std::string digest, input_->Digest());
      return id + "/" + digest;
    }
    if (options_.producer_id) {
      console_.Note(
          "the input cannot be read twice, so its producer is named by --producer-id "
          "alone: after a crash repeat the same input from its first record under it; "
          "other records would be dropped as repeats, so take another for other input "
          "producer_id=" +
          id + "/stdin");
      return id + "/stdin";
    }
    console_.Note(
        "the input cannot be read twice and there is no --producer-id: this run cannot be "
        "resumed after a crash without counting events twice");
    return id + "/" + RandomId();
  }

  /// A corrected file is other content, and its records all count again. Which content an id sent
  /// is known to the pipelines, so it is known wherever this runs.
  Status WarnOfOtherContent(const std::string& producer) const {
    if (!input_->repeatable()) return {};
    const size_t slash = producer.rfind('/');
    const std::string id = producer.substr(0, slash);
    MILLRACE_ASSIGN(
        const std::vector<operations::ProducerInfo> known,
        RunNow(cluster_.ListProducers(name_.name_space, name_.name, Principal(), id + "/")));
    std::string before;
    int64_t others = 0;
    bool sent = false;
    for (const operations::ProducerInfo& p : known) {
      sent |= p.id == producer;
      if (p.id == producer || p.id.size() != producer.size()) continue;
      if (++others <= kShownContents)
        before += (before.empty() ? "" : ", ") + p.id.substr(slash + 1, kShownDigest) +
                  " (records up to " + std::to_string(p.end - 1) + ")";
    }
    if (others == 0 || sent) return {};
    console_.Note(
        "warning: this id sent other content to the stream before, and a record that both hold "
        "counts twice. All is well if this is other data, or the refused records of that file "
        "alone "
        "(--rejects keeps them). If it is that whole file, corrected, its good records count "
        "again. "
        "A --producer-id of its own avoids this warning stream=" +
        name_.ToString() + " producer_id=" + id +
        " content=" + producer.substr(slash + 1, kShownDigest) + " before=" + before +
        (others > kShownContents ? ", ..." : ""));
    return {};
  }

  Status Send() {
    Peeked source(input_.get());
    MILLRACE_ASSIGN(const bool csv, IsCsv(&source));
    Status sent;
    {
      const Progress progress(console_,
                              [this, start = Clock::now()] { return ProgressLine(start); });
      sent = csv ? SendCsv(&source) : SendJson(&source);
      const Status flushed = sink_->Flush();
      if (sent.ok()) sent = flushed;
    }
    return sent;
  }

  Result<bool> IsCsv(Peeked* source) const {
    if (options_.format) return *options_.format == "csv";
    const std::string& name = input_->content_name();
    if (name.ends_with(".csv")) return true;
    for (const char* ending : {".json", ".jsonl", ".ndjson"}) {
      if (name.ends_with(ending)) return false;
    }
    MILLRACE_ASSIGN(const char first, source->FirstByte());
    return first != '{';
  }

  Status SendCsv(ByteSource* source) {
    CsvReader reader(source, rejects_ != nullptr);
    CsvRecord record;
    MILLRACE_ASSIGN(const bool header, reader.Next(&record));
    if (!header)
      return InvalidArgument("the input is empty: CSV begins with a line that names the columns");
    if (!record.error.empty()) return InvalidArgument("the first line is no CSV: " + record.error);
    MILLRACE_ASSIGN(const CsvToJson convert, CsvToJson::Create(stream_, record));
    TellIgnored(convert.ignored());
    if (rejects_) rejects_->Header(record.text);
    Pace pace(options_.rate);
    std::string json;
    for (;;) {
      MILLRACE_ASSIGN(const bool more, reader.Next(&record));
      if (!more) return {};
      pace.Wait(records_.load(std::memory_order_relaxed));
      if (!record.error.empty()) {
        Refuse(record.line, record.text, "UNREADABLE", record.error);
        continue;
      }
      const Status converted = convert.Convert(record, &json);
      if (!converted.ok()) {
        const bool shape = record.fields.size() != convert.width();
        Refuse(record.line, record.text, shape ? "UNREADABLE" : "WRONG_TYPE",
               converted.error().message);
        continue;
      }
      MILLRACE_TRY(SendOne(record.line, record.text, json));
    }
  }

  Status SendJson(ByteSource* source) {
    LineReader reader(source);
    Pace pace(options_.rate);
    Line line;
    for (;;) {
      MILLRACE_ASSIGN(const bool more, reader.Next(&line));
      if (!more) return {};
      pace.Wait(records_.load(std::memory_order_relaxed));
      if (!line.error.empty()) {
        Refuse(line.line, line.text, "EVENT_TOO_LARGE", line.error);
        continue;
      }
      MILLRACE_TRY(SendOne(line.line, line.text, line.text));
    }
  }

  /// `text`: the record as it stands in the input.
  Status SendOne(int64_t line, std::string_view text, std::string_view payload) {
    const int64_t sequence = NextRecord();
    lines_.Set(sequence, line);
    if (rejects_) rejects_->Add(sequence, line, text);
    return sink_->Send(sequence, payload);
  }

  /// Events refused here have a number too: what follows keeps its own.
  void Refuse(int64_t line, std::string_view text, const std::string& reason,
              const std::string& message) {
    const int64_t sequence = NextRecord();
    ++refused_here_;
    refusals_.Add(line, reason, message);
    if (!rejects_) return;
    rejects_->Add(sequence, line, text);
    rejects_->Settle(sequence, reason + ": " + message);
  }

  int64_t NextRecord() { return records_.fetch_add(1, std::memory_order_relaxed) + 1; }

  void TellIgnored(const std::vector<std::string>& names) const {
    if (names.empty()) return;
    std::string list;
    for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
    console_.Note("warning: the stream has no such columns, they are left out: " + list);
  }

  std::string ProgressLine(Clock::time_point start) const {
    const SinkCounters counters = sink_->counters();
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    std::string line = name_.ToString();
    if (input_->size() > 0)
      line += " " + std::to_string(input_->consumed() * 100 / input_->size()) + " % read";
    line += " sent=" + std::to_string(records_.load(std::memory_order_relaxed)) +
            " acknowledged=" + std::to_string(counters.acknowledged) +
            " refused=" + std::to_string(refusals_.count());
    if (counters.resent > 0) line += " resent=" + std::to_string(counters.resent);
    line += " per_second=" +
            std::to_string(std::llround(static_cast<double>(counters.acknowledged) / seconds));
    if (!counters.trouble.empty()) line += " waiting: " + counters.trouble;
    return line;
  }

  int Report(Status done) {
    const SinkCounters counters = sink_->counters();
    refusals_.Tell(options_.input == "-" ? "standard input" : options_.input, console_);
    const int64_t refused = counters.refused + refused_here_;
    if (rejects_) {
      const Status written = rejects_->Finish();
      if (done.ok()) done = written;
      if (written.ok() && refused > 0)
        console_.Note("the refused records are in " + *options_.rejects + ", why in " +
                      *options_.rejects + ".reasons; correct them and send that file");
    }
    std::array<char, 32> seconds;
    std::snprintf(seconds.data(), seconds.size(), "%.1f", seconds_);
    if (options_.dry_run) {
      console_.err << "would_take=" << counters.acknowledged << " would_refuse=" << refused
                   << " sent=0 seconds=" << seconds.data() << std::endl;
    } else {
      console_.err << "acknowledged=" << counters.acknowledged << " refused=" << refused
                   << " resent=" << counters.resent << " seconds=" << seconds.data() << std::endl;
      WarnOfEnd(counters.acknowledged);
      if (counters.acknowledged > 0) ledgers_->TellWhatDidNotCount(console_);
    }
    if (!done.ok()) {
      const int code = console_.Fail(done.error());
      if (options_.end) console_.Note("the stream was not brought to its end");
      return code;
    }
    if (options_.end) return End(counters.acknowledged, refused);
    return refused > 0 ? kExitRuntime : kExitOk;
  }

  /// The gateway acknowledges what is late; only pipelines tell. What was sent before the end came
  /// is a repeat now, so the number is a bound.
  void WarnOfEnd(int64_t acknowledged) const {
    if (ended_.empty() || acknowledged == 0) return;
    std::string lists;
    for (const std::string& name : ended_)
      lists += (lists.empty() ? "`millrace late " : ", `millrace late ") + name + "`";
    console_.Note(
        "warning: the stream was at its end before this run, so acknowledged events that "
        "were not sent before are late and count nowhere; see " +
        lists + " stream=" + name_.ToString() + " late_at_most=" + std::to_string(acknowledged));
  }

  /// The end of a stream is for good, so neither a wrong file nor a part of one brings it.
  int End(int64_t acknowledged, int64_t refused) {
    const std::string by_hand = "`millrace stream advance " + name_.ToString() + " --to end`";
    if (refused > 0) {
      console_.Note(
          "the stream was not brought to its end, because records were refused: send them again, "
          "corrected, with --end (--rejects FILE keeps them), or end it without them with " +
          by_hand + " refused=" + std::to_string(refused));
      return kExitRuntime;
    }
    if (acknowledged == 0) {
      console_.Note(
          "the stream was not brought to its end, because the input holds no record: see that it "
          "is the right one, or end the stream with " +
          by_hand);
      return kExitRuntime;
    }
    const Status ended =
        RunNow(cluster_.AdvanceStream(name_.name_space, name_.name, kPlusInfinity));
    if (!ended.ok()) return console_.Fail(ended.error());
    console_.Note(
        "the stream is at its end: every window closes, and no later event counts stream=" +
        name_.ToString());
    return kExitOk;
  }

  operations::Operations& cluster_;
  const OpenEventSink& open_;
  const ProduceOptions& options_;
  const Console& console_;
  QualifiedName name_;
  StreamSpec stream_;
  std::optional<Ledgers> ledgers_;  ///< of the start
  std::vector<std::string> ended_;  ///< pipelines for which the stream had ended at the start
  std::unique_ptr<Input> input_;
  EventLines lines_;
  Refusals refusals_;
  std::unique_ptr<Rejects> rejects_;
  int64_t refused_here_ = 0;
  std::atomic<int64_t> records_{0};
  double seconds_ = 0;
  /// Last: its threads call what stands above until it is gone.
  std::unique_ptr<EventSink> sink_;
};

}  // namespace

int RunProduce(operations::Operations& cluster, const OpenEventSink& open,
               const ProduceOptions& options, const Console& console) {
  if (!(options.rate >= 0) || !std::isfinite(options.rate))
    return console.FailUsage("--rate: it is a number of events a second, 0 for no limit rate=" +
                             FormatDouble(options.rate));
  if (options.format && *options.format != "csv" && *options.format != "json")
    return console.FailUsage("--format: csv or json format=" + *options.format);
  if (options.dry_run && options.end)
    return console.FailUsage("--dry-run: it sends nothing, so it cannot come with --end");
  if (options.producer_id && options.producer_id->empty())
    return console.FailUsage("--producer-id: it cannot be empty");
  return Run(cluster, open, options, console).Do();
}

}  // namespace millrace::cli
