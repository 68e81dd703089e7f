#include "reader.h"

#include <algorithm>
#include <cstring>
#include <vector>

// g++ 12 destroys a closure twice that is a temporary of a co_await expression: each gets a name
// first.

namespace millrace::log_kafka {
namespace {

/// How often a reader that waits asks whether the topic is still the one it was.
constexpr auto kAskEvery = std::chrono::seconds(2);
/// Who waits at least so long need not ask at the end: what there is would have come.
constexpr auto kFetchTakes = std::chrono::milliseconds(500);
/// Who does not want to wait still waits so long for records that are there.
constexpr auto kFetchPatience = std::chrono::seconds(5);
/// Records are there and none came for so long: the client is given up.
constexpr auto kSilent = std::chrono::seconds(30);
/// Records of one batch, so that many small ones do not hold an executor long.
constexpr size_t kMostRecords = 8'192;

size_t Aligned(size_t bytes) { return (bytes + 7) & ~size_t{7}; }

/// The records of messages, in memory of their own: a message keeps the whole answer of a broker,
/// and its value begins anywhere.
std::vector<LogRecord> Copy(const std::vector<Fetch::OwnedMessage>& messages) {
  size_t bytes = 0;
  for (const auto& m : messages) bytes += Aligned(m->len) + Aligned(m->key_len);
  const std::shared_ptr<char[]> memory(new char[bytes + 1]);
  char* to = memory.get();
  const auto put = [&](const void* from, size_t size) {
    const std::string_view at(to, size);
    if (size > 0) std::memcpy(to, from, size);
    to += Aligned(size);
    return at;
  };
  std::vector<LogRecord> records;
  records.reserve(messages.size());
  for (const auto& m : messages) {
    LogRecord& record = records.emplace_back();
    record.offset = Offset(m->offset);
    rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    const int64_t millis = rd_kafka_message_timestamp(m.get(), &type);
    // Another kind of time is its writer's, not the log's.
    if (type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME) record.append_time = millis * 1'000;
    record.value = put(m->payload, m->len);
    record.key = put(m->key, m->key_len);
    rd_kafka_headers_t* headers = nullptr;
    if (rd_kafka_message_headers(m.get(), &headers) == RD_KAFKA_RESP_ERR_NO_ERROR) {
      const char* name = nullptr;
      const void* value = nullptr;
      size_t size = 0;
      for (size_t i = 0;
           rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
           ++i)
        record.headers.push_back({name, std::string(static_cast<const char*>(value), size)});
    }
    record.owner = memory;
  }
  return records;
}

}  // namespace

Reader::Reader(Reading with, std::string topic, PartitionId partition, Offset from)
    : with_(std::move(with)), topic_(std::move(topic)), partition_(partition), next_(from) {}

Reader::~Reader() { Stop(); }

/// To end a fetch blocks, so it is done elsewhere.
void Reader::Stop() {
  if (!fetch_) return;
  fetch_->Watch(Completion<bool>());
  with_.callers->PostAlways([fetch = std::exchange(fetch_, nullptr)] {});
}

Error Reader::Broken(Code code, std::string_view what) const {
  return WithFacts(code, what,
                   {{"topic", topic_},
                    {"partition", partition_.value},
                    {"position", next_.value},
                    {"end", end_.value}});
}

Task<Status> Reader::Ask() {
  auto asked = with_.callers->Call(
      [admin = with_.admin, topic = topic_, partition = partition_]() -> Result<Seen> {
        MILLRACE_ASSIGN(const Topic seen, admin->Look(topic));
        if (partition.value < 0 || partition.value >= seen.partitions)
          return NoSuchPartition(Code::kNotFound, topic, partition);
        MILLRACE_ASSIGN(const OffsetRange range, admin->Range(topic, partition));
        return Seen{seen.id, range};
      });
  const uint64_t doubts = Doubts();
  const auto seen = co_await std::move(asked);
  if (!seen.ok() && seen.error().code == Code::kNotFound)
    co_return NoSuchPartition(Code::kUnavailable, topic_, partition_);
  if (!seen.ok()) co_return seen.error();
  if (id_.has_value() && *id_ != seen->id)
    co_return Broken(Code::kUnavailable, "the topic was removed, and another has its name");
  const OffsetRange range = seen->range;
  const Duration now = Executor::Current().Monotonic();
  // From now on something is missing.
  if (next_ >= end_ && next_ < range.end) progress_at_ = now;
  end_ = range.end;
  if (next_ < range.start || next_ > range.end)
    co_return Conflict("the position lies outside the log", {{"topic", topic_},
                                                             {"partition", partition_.value},
                                                             {"position", next_.value},
                                                             {"start", range.start.value},
                                                             {"end", range.end.value}});
  id_ = seen->id;
  doubts_ = doubts;
  went_back_ = false;
  asked_at_ = now;
  co_return Status();
}

Task<Status> Reader::Start() {
  auto ask = Ask();
  MILLRACE_CO_TRY(co_await std::move(ask));
  auto started =
      with_.callers->Call([consumers = with_.consumers, topic = topic_, partition = partition_,
                           from = next_] { return consumers->Start(topic, partition, from); });
  MILLRACE_CO_ASSIGN(fetch_, co_await std::move(started));
  // What the client was told before concerns others.
  doubts_ += fetch_->handle().doubts();
  fetched_end_ = Offset(-1);
  progress_at_ = Executor::Current().Monotonic();
  co_return Status();
}

Task<Result<LogBatch>> Reader::Next(size_t max_bytes, std::chrono::microseconds max_wait) {
  const Duration begun = Executor::Current().Monotonic();
  const Duration deadline = begun + max_wait;
  bool asked = false;
  bool restarted = false;
  for (;;) {
    if (!fetch_ || InDoubt() || MustAsk(deadline, asked)) {
      auto ask = fetch_ ? Ask() : Start();
      const Status sure = co_await std::move(ask);
      if (!sure.ok()) {
        Stop();
        co_return sure.error();
      }
      asked = true;
    }
    const Completion<bool> came;
    fetch_->Watch(came);
    auto batch = TakeQueued(max_bytes);
    // What came after a doubt may be of another topic: nothing of it is handed on unasked.
    const bool in_doubt = batch.ok() && InDoubt();
    // The place left the log, or was never in it: only asking tells for certain.
    const bool outside = !batch.ok() && batch.error().code == Code::kConflict && !restarted;
    if (in_doubt || outside) {
      restarted = outside || restarted;
      Stop();
      continue;
    }
    if (!batch.ok()) {
      Stop();
      co_return batch;
    }
    next_ = batch->next;
    if (!batch->records.empty()) co_return batch;
    const Duration now = Executor::Current().Monotonic();
    Duration until = deadline;
    if (next_ < end_) {
      until = std::max<Duration>(deadline, begun + kFetchPatience);
      if (now >= until) co_return Silence(now);
    } else if (now >= deadline) {
      if (asked || max_wait >= kFetchTakes) co_return LogBatch{{}, next_, next_};
      continue;
    }
    until = std::min<Duration>(until, std::max(now, asked_at_ + kAskEvery));
    Executor::Current().PostAfter(until - now, [came] { came.Set(false); });
    co_await came;
  }
}

/// Whether it is time to ask who the topic is and where it ends.
bool Reader::MustAsk(Duration deadline, bool asked) const {
  const Duration now = Executor::Current().Monotonic();
  if (now - asked_at_ >= kAskEvery) return true;
  return !asked && next_ >= end_ && now >= deadline;
}

Error Reader::Silence(Duration now) {
  const Error error = Broken(Code::kUnavailable, "the Kafka brokers have records but give none");
  if (now - progress_at_ >= kSilent) {
    fetch_->Distrust();
    Stop();
  }
  return error;
}

Result<LogBatch> Reader::TakeQueued(size_t max_bytes) {
  std::vector<Fetch::OwnedMessage> messages;
  Offset next = next_;
  for (size_t bytes = 0; messages.empty() || bytes < max_bytes;) {
    if (messages.size() >= kMostRecords) break;
    Fetch::OwnedMessage message = fetch_->Take();
    if (!message) break;
    progress_at_ = Executor::Current().Monotonic();
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      // It stands above the markers that the brokers keep between records.
      next = std::max(next, Offset(message->offset));
      end_ = std::max(end_, next);
    } else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      if (messages.empty()) return Told(*message);
      // The partition gives nothing more after an error: the next call starts again and meets it.
      Stop();
      break;
    } else if (message->offset >= next.value) {
      bytes += message->len;
      next = Offset(message->offset + 1);
      messages.push_back(std::move(message));
    }
  }
  if (fetch_) {
    const Offset end(fetch_->KnownEnd());
    went_back_ = end.value >= 0 && end < fetched_end_;
    fetched_end_ = end;
    end_ = std::max(end_, end);
  }
  end_ = std::max(end_, next);
  return LogBatch{Copy(messages), next, end_};
}

Error Reader::Told(const rd_kafka_message_t& message) const {
  const Facts facts = {{"topic", topic_},
                       {"partition", partition_.value},
                       {"position", next_.value},
                       {"text", rd_kafka_message_errstr(&message)}};
  switch (message.err) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
      return fetch_->handle().Failed(Code::kConflict, "the position lies outside the log",
                                     message.err, facts);
    case RD_KAFKA_RESP_ERR__BAD_MSG:
    case RD_KAFKA_RESP_ERR__BAD_COMPRESSION:
      return fetch_->handle().Failed(Code::kCorruption, "a record is damaged", message.err, facts);
    default:
      return fetch_->handle().Failed(Code::kUnavailable, "a partition cannot be read", message.err,
                                     facts);
  }
}

}  // namespace millrace::log_kafka
