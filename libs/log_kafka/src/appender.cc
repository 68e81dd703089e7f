#include "appender.h"

#include "admin.h"
#include "bounds.h"
#include "properties.h"

namespace millrace::log_kafka {
namespace {

/// A producer that died is replaced so often at most, and so many may still have records under way.
constexpr auto kClientPause = std::chrono::seconds(1);
constexpr size_t kMostRetired = 4;
constexpr auto kLatePause = std::chrono::milliseconds(200);

using OwnedHeaders = Owned<rd_kafka_headers_t, rd_kafka_headers_destroy>;

Properties ProducerProperties(const Options& options) {
  Properties all = ClientProperties(options);
  all.insert(all.end(),
             {
                 {"acks", "all"},
                 {"enable.idempotence", "true"},
                 {"enable.gapless.guarantee", "true"},
                 // The deadline is ours. One of the library could end a record and still send
                 // those behind it.
                 {"message.timeout.ms", "0"},
                 {"linger.ms", "0"},
                 {"compression.type", "lz4"},
                 {"message.max.bytes", std::to_string(kMaxBatchBytes)},
                 // Above our own bounds, so that ours are met first.
                 {"queue.buffering.max.messages", std::to_string(2 * kMaxQueuedRecords)},
                 {"queue.buffering.max.kbytes", std::to_string(2 * (kMaxQueuedBytes >> 10))},
             });
  return all;
}

void Purge(const Handle& handle, int what) {
  rd_kafka_purge(handle.get(), what | RD_KAFKA_PURGE_F_NON_BLOCKING);
}

size_t HeaderBytes(const LogEntry& entry) {
  size_t bytes = 0;
  for (const LogHeader& h : entry.headers) bytes += h.name.size() + h.value.size();
  return bytes;
}

}  // namespace

Appender::Appender(Options options, Callers* callers)
    : options_(std::move(options)), callers_(callers) {}

/// No call is running, so nobody waits for what is still under way.
Appender::~Appender() {
  closing_ = true;
  for (const auto& p : Partitions(nullptr)) {
    std::lock_guard lock(p->mutex);
    p->held = true;
  }
  std::vector<std::shared_ptr<Client>> clients;
  {
    std::lock_guard lock(mutex_);
    clients = std::exchange(retired_, {});
    if (client_) clients.push_back(std::exchange(client_, nullptr));
  }
  for (const auto& client : clients)
    Purge(*client->handle, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
  const auto deadline = Clock::now() + std::chrono::seconds(5);
  for (const auto& p : Partitions(nullptr)) {
    std::unique_lock lock(p->mutex);
    p->idle.wait_until(lock, deadline, [&] { return p->flying == 0; });
  }
}

Task<Result<Offset>> Appender::Append(std::string topic, PartitionId partition, LogEntry entry) {
  const size_t bytes = entry.key.size() + entry.value.size();
  const size_t header_bytes = HeaderBytes(entry);
  if (bytes > KafkaLog::kMaxRecordBytes)
    co_return InvalidArgument(
        "a record is larger than the log takes",
        {{"topic", topic}, {"bytes", bytes}, {"limit", KafkaLog::kMaxRecordBytes}});
  if (header_bytes > KafkaLog::kMaxHeaderBytes)
    co_return InvalidArgument(
        "a record's headers are larger than the log takes",
        {{"topic", topic}, {"bytes", header_bytes}, {"limit", KafkaLog::kMaxHeaderBytes}});
  const auto request = std::make_shared<Request>();
  request->entry = std::move(entry);
  request->bytes = bytes + header_bytes;
  request->since = Clock::now();
  const auto p = Enqueue(topic, partition, request);
  if (!p.ok()) {
    Break(request->entry.chain);
    co_return p.error();
  }
  auto offset = co_await request->done;
  co_return offset;
}

Result<std::shared_ptr<Appender::Partition>> Appender::Enqueue(
    const std::string& topic, PartitionId id, const std::shared_ptr<Request>& request) {
  std::shared_ptr<Partition> p;
  {
    std::lock_guard lock(mutex_);
    auto& slot = partitions_[{topic, id}];
    if (!slot) {
      slot = std::make_shared<Partition>();
      slot->topic = topic;
      slot->id = id;
      slot->held = held_.contains(topic);
    }
    p = slot;
  }
  std::lock_guard lock(p->mutex);
  if (bytes_ >= kMaxQueuedBytes || records_ >= kMaxQueuedRecords)
    return ResourceExhausted(
        "too much waits for the Kafka brokers, so the record was not written",
        {{"topic", topic}, {"partition", id.value}, {"limit_bytes", kMaxQueuedBytes}});
  bytes_ += request->bytes;
  ++records_;
  p->waiting.push_back(request);
  Pump(p);
  return p;
}

std::vector<std::shared_ptr<Appender::Partition>> Appender::Partitions(const std::string* topic) {
  std::vector<std::shared_ptr<Partition>> found;
  std::lock_guard lock(mutex_);
  for (const auto& [key, p] : partitions_)
    if (topic == nullptr || key.first == *topic) found.push_back(p);
  return found;
}

Result<std::shared_ptr<Appender::Client>> Appender::UsableClient() {
  std::lock_guard lock(mutex_);
  if (client_ && !client_->handle->dead()) return client_;
  if (client_) retired_.push_back(std::exchange(client_, nullptr));
  std::erase_if(retired_, [](const auto& client) { return client->flying == 0; });
  if (made_ > 0 && Clock::now() - made_at_ < kClientPause)
    return ResourceExhausted("the Kafka producer failed a moment ago, and its successor waits");
  if (retired_.size() >= kMostRetired)
    return ResourceExhausted(
        "the Kafka producer failed, and those before it still wait for answers");
  // The last reference may be that of a client's own thread, which cannot wait for itself.
  std::shared_ptr<Client> client(new Client(), [this](Client* old) {
    if (closing_)
      delete old;
    else
      callers_->PostAlways([old] { delete old; });
  });
  MILLRACE_ASSIGN(client->handle, Handle::Open(
                                      RD_KAFKA_PRODUCER, ProducerProperties(options_),
                                      [this](rd_kafka_event_t* event) { Delivered(event); },
                                      [this] { EndLate(); }));
  client->number = ++made_;
  made_at_ = Clock::now();
  client_ = client;
  return client;
}

/// Sends what waits, if it may go now. `p.mutex` is held.
void Appender::Pump(const std::shared_ptr<Partition>& p) {
  while (p->flying == 0 && !p->asking && !p->held && !p->waiting.empty()) {
    const auto client = UsableClient();
    if (!client.ok()) return FailWaiting(*p, ResourceExhausted(client.error().message));
    if (p->known_to == (*client)->number) {
      SendGroup(p, **client);
      continue;
    }
    // The library lets records for an unknown topic wait and blames them later. Asking first is
    // quicker, and leaves no record in its hands.
    p->asking = callers_->Post([this, p, c = *client] { Ask(p, c); });
    if (!p->asking)
      return FailWaiting(*p, ResourceExhausted("too many calls wait for the Kafka brokers"));
  }
}

void Appender::Ask(const std::shared_ptr<Partition>& p, const std::shared_ptr<Client>& client) {
  const Result<Topic> topic = AskMetadata(*client->handle, p->topic);
  std::lock_guard lock(p->mutex);
  p->asking = false;
  p->idle.notify_all();
  const bool there = topic.ok() && p->id.value >= 0 && p->id.value < topic->partitions;
  const bool unknown = topic.ok() ? !there : topic.error().code == Code::kNotFound;
  if (there) p->known_to = client->number;
  if (unknown) FailWaiting(*p, NoSuchPartition(Code::kUnavailable, p->topic, p->id));
  if (!there && !unknown) FailWaiting(*p, ResourceExhausted(topic.error().message));
  Pump(p);
}

void Appender::SendGroup(const std::shared_ptr<Partition>& p, Client& client) {
  p->group.clear();
  size_t bytes = 0;
  while (!p->waiting.empty() && bytes < kMaxGroupBytes && p->group.size() < kMaxGroupRecords) {
    const std::shared_ptr<Request> request = std::move(p->waiting.front());
    p->waiting.pop_front();
    if (Broken(request->entry.chain)) {
      Finish(*request, BehindFailedAppend());
      continue;
    }
    const rd_kafka_resp_err_t error = Produce(p, client, request);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      bytes += request->bytes;
      p->group.push_back(request);
    } else {
      Finish(*request, NotTaken(client, *p, error));
      p->known_to = 0;
      return;
    }
  }
}

rd_kafka_resp_err_t Appender::Produce(const std::shared_ptr<Partition>& p, Client& client,
                                      const std::shared_ptr<Request>& request) {
  const LogEntry& entry = request->entry;
  OwnedHeaders headers(rd_kafka_headers_new(entry.headers.size()));
  for (const LogHeader& h : entry.headers)
    rd_kafka_header_add(headers.get(), h.name.data(), static_cast<ssize_t>(h.name.size()),
                        h.value.data(), static_cast<ssize_t>(h.value.size()));
  auto flight = std::make_unique<Flight>(Flight{&client, p, request});
  ++p->flying;
  ++client.flying;
  // The value is not copied: the request keeps it until the library has answered.
  const auto error = rd_kafka_producev(
      client.handle->get(), RD_KAFKA_V_TOPIC(p->topic.c_str()), RD_KAFKA_V_PARTITION(p->id.value),
      RD_KAFKA_V_KEY(entry.key.empty() ? nullptr : entry.key.data(), entry.key.size()),
      RD_KAFKA_V_VALUE(const_cast<char*>(entry.value.data()), entry.value.size()),
      RD_KAFKA_V_HEADERS(headers.get()), RD_KAFKA_V_OPAQUE(flight.get()), RD_KAFKA_V_END);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    headers.release();
    flight.release();
  } else {
    --p->flying;
    --client.flying;
  }
  return error;
}

Error Appender::NotTaken(const Client& client, const Partition& p,
                         rd_kafka_resp_err_t error) const {
  if (IsUnknown(error)) return NoSuchPartition(Code::kUnavailable, p.topic, p.id);
  return client.handle->Failed(Code::kResourceExhausted, "the record was not written", error,
                               {{"topic", p.topic}, {"partition", p.id.value}});
}

void Appender::Delivered(rd_kafka_event_t* event) {
  while (const rd_kafka_message_t* message = rd_kafka_event_message_next(event))
    Delivered(*message);
}

void Appender::Delivered(const rd_kafka_message_t& message) {
  const std::unique_ptr<Flight> flight(static_cast<Flight*>(message._private));
  const std::shared_ptr<Partition>& p = flight->partition;
  {
    std::lock_guard lock(p->mutex);
    if (IsUnknown(message.err)) p->known_to = 0;
    Finish(*flight->request, Outcome(*flight, message));
    if (--p->flying == 0) {
      p->group.clear();
      p->idle.notify_all();
      Pump(p);
    }
  }
  --flight->client->flying;
}

Result<Offset> Appender::Outcome(const Flight& flight, const rd_kafka_message_t& message) const {
  const Partition& p = *flight.partition;
  const Facts facts = {{"topic", p.topic}, {"partition", p.id.value}};
  const Handle& handle = *flight.client->handle;
  if (message.err == RD_KAFKA_RESP_ERR_NO_ERROR) {
    if (message.offset >= 0) return Offset(message.offset);
    return Unavailable("the record was written, but the brokers have forgotten where", facts);
  }
  if (IsUnknown(message.err)) return NoSuchPartition(Code::kUnavailable, p.topic, p.id);
  if (message.err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && p.group.size() == 1)
    return handle.Failed(Code::kInvalidArgument, "a record is larger than its topic takes",
                         message.err, facts);
  if (rd_kafka_message_status(&message) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED)
    return handle.Failed(Code::kResourceExhausted, "the record was not written", message.err,
                         facts);
  return handle.Failed(Code::kUnavailable, "whether the record was written is not known",
                       message.err, facts);
}

void Appender::FailWaiting(Partition& p, const Error& error) {
  for (const auto& request : std::exchange(p.waiting, {})) Finish(*request, error);
}

/// The library or the queue has done with the request.
void Appender::Finish(const Request& request, const Result<Offset>& result) {
  if (!result.ok() && result.error().code != Code::kInvalidArgument) Break(request.entry.chain);
  request.done.Set(result);
  bytes_ -= request.bytes;
  --records_;
}

/// Answers those that waited past the deadline. What is on its way stays there: the brokers may
/// write it any time, and nothing overtakes it.
void Appender::EndLate() {
  const auto now = Clock::now();
  {
    std::lock_guard lock(mutex_);
    if (now - ended_late_at_ < kLatePause) return;
    ended_late_at_ = now;
    // A dead producer keeps what the brokers refused for a try that never comes.
    for (const auto& client : retired_) Purge(*client->handle, RD_KAFKA_PURGE_F_QUEUE);
    if (client_ && client_->handle->dead()) Purge(*client_->handle, RD_KAFKA_PURGE_F_QUEUE);
  }
  const auto late = [&](const Request& r) { return now - r.since > kAppendDeadline; };
  for (const auto& p : Partitions(nullptr)) {
    std::lock_guard lock(p->mutex);
    const Facts facts = {{"topic", p->topic}, {"partition", p->id.value}};
    for (const auto& request : p->group) {
      if (!late(*request)) break;
      Break(request->entry.chain);
      request->done.Set(
          Unavailable("the Kafka brokers have not answered; whether the record was written is "
                      "not known",
                      facts));
    }
    while (!p->waiting.empty() && late(*p->waiting.front())) {
      Finish(*p->waiting.front(),
             ResourceExhausted("the Kafka brokers do not answer, so the record was not written",
                               facts));
      p->waiting.pop_front();
    }
  }
}

Status Appender::Hold(const std::string& topic) {
  {
    std::lock_guard lock(mutex_);
    held_.insert(topic);
  }
  const auto deadline = Clock::now() + kAppendDeadline;
  for (const auto& p : Partitions(&topic)) {
    std::unique_lock lock(p->mutex);
    p->held = true;
    if (p->idle.wait_until(lock, deadline, [&] { return p->flying == 0 && !p->asking; })) continue;
    lock.unlock();
    Resume(topic, false);
    return Unavailable("appends to the topic are under way and the Kafka brokers do not answer",
                       {{"topic", topic}});
  }
  return {};
}

void Appender::Resume(const std::string& topic, bool removed) {
  {
    std::lock_guard lock(mutex_);
    held_.erase(topic);
  }
  for (const auto& p : Partitions(&topic)) {
    std::lock_guard lock(p->mutex);
    p->held = false;
    if (removed) {
      p->known_to = 0;
      FailWaiting(*p, Unavailable("the topic was removed before the record was written",
                                  {{"topic", topic}, {"partition", p->id.value}}));
    }
    Pump(p);
  }
}

}  // namespace millrace::log_kafka
