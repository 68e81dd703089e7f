#include "consumers.h"

#include <algorithm>

#include "bounds.h"
#include "properties.h"

namespace millrace::log_kafka {
namespace {

/// A partition has three cursors (docs/adr/0020); the rest is for clients that are given up.
constexpr size_t kMostConsumers = 8;
constexpr int kPartitionBufferKiB = 4 << 10;
constexpr int kPartitionFetchBytes = 1 << 20;

Properties ConsumerProperties(const Options& options) {
  Properties all = ClientProperties(options);
  all.insert(all.end(), {
                            {"group.id", options.group},
                            {"enable.auto.commit", "false"},
                            {"enable.auto.offset.store", "false"},
                            {"auto.offset.reset", "error"},
                            {"enable.partition.eof", "true"},
                            {"isolation.level", "read_committed"},
                            {"check.crcs", "true"},
                            {"fetch.wait.max.ms", "100"},
                            {"fetch.error.backoff.ms", "100"},
                            {"fetch.message.max.bytes", std::to_string(kPartitionFetchBytes)},
                            {"queued.max.messages.kbytes", std::to_string(kPartitionBufferKiB)},
                        });
  return all;
}

OwnedPartitions One(const std::pair<std::string, int32_t>& key, int64_t offset) {
  OwnedPartitions list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), key.first.c_str(), key.second)->offset = offset;
  return list;
}

/// "" means that it went well.
std::string TextOf(rd_kafka_error_t* error) {
  if (error == nullptr) return "";
  std::string text = rd_kafka_error_string(error);
  rd_kafka_error_destroy(error);
  return text;
}

}  // namespace

Result<std::shared_ptr<Fetch>> Consumers::Start(const std::string& topic, PartitionId partition,
                                                Offset from) {
  std::shared_ptr<Fetch> fetch(new Fetch());
  fetch->key_ = {topic, partition.value};
  MILLRACE_ASSIGN(fetch->consumer_, Reserve(fetch->key_));
  fetch->pool_ = shared_from_this();
  rd_kafka_t* const kafka = fetch->consumer_->handle->get();
  // The queue first: what comes must never reach the queue of the whole client.
  fetch->queue_.reset(rd_kafka_queue_get_partition(kafka, topic.c_str(), partition.value));
  if (!fetch->queue_) return Unavailable("the Kafka client has no queue for a partition");
  rd_kafka_queue_forward(fetch->queue_.get(), nullptr);
  rd_kafka_queue_cb_event_enable(fetch->queue_.get(), &Fetch::Came, fetch.get());
  const OwnedPartitions list = One(fetch->key_, from.value);
  const std::string failed = TextOf(rd_kafka_incremental_assign(kafka, list.get()));
  if (failed.empty()) return fetch;
  return fetch->handle().Failed(Code::kUnavailable, "the Kafka client does not take a partition",
                                failed, {{"topic", topic}, {"partition", partition.value}});
}

Result<std::shared_ptr<Fetch::Consumer>> Consumers::Reserve(const Fetch::Key& key) {
  std::lock_guard lock(mutex_);
  for (const auto& consumer : consumers_)
    if (!consumer->tired && consumer->taken.insert(key).second) return consumer;
  if (consumers_.size() >= kMostConsumers)
    return Unavailable(
        "too many readers of one partition",
        {{"topic", key.first}, {"partition", key.second}, {"limit", kMostConsumers}});
  auto consumer = std::make_shared<Fetch::Consumer>();
  MILLRACE_ASSIGN(consumer->handle, Handle::Open(RD_KAFKA_CONSUMER, ConsumerProperties(options_)));
  consumer->taken.insert(key);
  consumers_.push_back(consumer);
  return consumer;
}

void Consumers::Release(const std::shared_ptr<Fetch::Consumer>& consumer, const Fetch::Key& key) {
  std::lock_guard lock(mutex_);
  consumer->taken.erase(key);
  if (consumer->tired && consumer->taken.empty()) std::erase(consumers_, consumer);
}

Fetch::~Fetch() {
  if (queue_) {
    // Behind this call the callback does not run any more.
    rd_kafka_queue_cb_event_enable(queue_.get(), nullptr, nullptr);
    const OwnedPartitions list = One(key_, RD_KAFKA_OFFSET_INVALID);
    TextOf(rd_kafka_incremental_unassign(consumer_->handle->get(), list.get()));
    queue_.reset();
  }
  if (pool_) pool_->Release(consumer_, key_);
}

void Fetch::Came(rd_kafka_t*, void* self) {
  auto* const fetch = static_cast<Fetch*>(self);
  std::lock_guard lock(fetch->mutex_);
  if (fetch->watcher_) fetch->watcher_->Set(true);
}

void Fetch::Watch(const Completion<bool>& came) {
  std::lock_guard lock(mutex_);
  watcher_ = came;
}

Fetch::OwnedMessage Fetch::Take() const {
  return OwnedMessage(rd_kafka_consume_queue(queue_.get(), 0));
}

int64_t Fetch::KnownEnd() const {
  int64_t start = -1, end = -1;
  const auto error = rd_kafka_get_watermark_offsets(consumer_->handle->get(), key_.first.c_str(),
                                                    key_.second, &start, &end);
  return error == RD_KAFKA_RESP_ERR_NO_ERROR ? std::max<int64_t>(end, -1) : -1;
}

}  // namespace millrace::log_kafka
