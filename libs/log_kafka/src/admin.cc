#include "admin.h"

#include <sys/random.h>

#include <algorithm>
#include <thread>

#include "bounds.h"
#include "properties.h"
#include "topic_settings.h"

namespace millrace::log_kafka {
namespace {

using Clock = std::chrono::steady_clock;
/// How long the brokers may take to tell each other of a topic that was made or removed.
constexpr auto kSpreadDeadline = std::chrono::seconds(10);
constexpr auto kSpreadPause = std::chrono::milliseconds(10);
/// Topics in one request for settings.
constexpr size_t kDescribed = 200;

using OwnedOptions = Owned<rd_kafka_AdminOptions_t, rd_kafka_AdminOptions_destroy>;
using OwnedNewTopic = Owned<rd_kafka_NewTopic_t, rd_kafka_NewTopic_destroy>;
using OwnedDeleteTopic = Owned<rd_kafka_DeleteTopic_t, rd_kafka_DeleteTopic_destroy>;
using OwnedAlterOffsets =
    Owned<rd_kafka_AlterConsumerGroupOffsets_t, rd_kafka_AlterConsumerGroupOffsets_destroy>;
using OwnedDeleteRecords = Owned<rd_kafka_DeleteRecords_t, rd_kafka_DeleteRecords_destroy>;
using OwnedTopic = Owned<rd_kafka_topic_t, rd_kafka_topic_destroy>;

void DestroyMetadata(const rd_kafka_metadata_t* m) { rd_kafka_metadata_destroy(m); }
using OwnedMetadata = Owned<const rd_kafka_metadata_t, DestroyMetadata>;

Error NoSuchTopic(const std::string& topic) {
  return NotFound("the log has no such topic", {{"topic", topic}});
}

/// A broker that was just told to lead does so a moment later.
bool LeaderMoves(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION ||
         error == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE ||
         error == RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE;
}

/// One order and its answer: a queue of its own, so that answers find whoever asked.
class Order {
 public:
  Order(const Handle& handle, rd_kafka_admin_op_t kind)
      : queue_(rd_kafka_queue_new(handle.get())),
        options_(rd_kafka_AdminOptions_new(handle.get(), kind)) {
    char why[256];
    rd_kafka_AdminOptions_set_request_timeout(options_.get(), kAskMillis, why, sizeof(why));
  }
  rd_kafka_AdminOptions_t* options() const { return options_.get(); }
  rd_kafka_queue_t* queue() const { return queue_.get(); }
  OwnedEvent Answer() const {
    // The request has its own deadline; this one is only for a library that forgets it.
    return OwnedEvent(rd_kafka_queue_poll(queue_.get(), 2 * kAskMillis));
  }

 private:
  OwnedQueue queue_;
  OwnedOptions options_;
};

/// The error of the answer as a whole; ok: look at what it says of each topic.
Status Whole(const Handle& handle, const OwnedEvent& answer, std::string_view what, Facts facts) {
  if (!answer) return handle.Failed(Code::kUnavailable, what, "no answer", facts);
  if (rd_kafka_event_error(answer.get()) == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  return handle.Failed(Code::kUnavailable, what, rd_kafka_event_error_string(answer.get()), facts);
}

std::string RandomId() {
  uint64_t random = 0;
  if (getrandom(&random, sizeof(random), 0) != sizeof(random)) return "";
  return std::to_string(random >> 2 | 1);  // positive, never the setting's default
}

}  // namespace

Error NoSuchPartition(Code code, const std::string& topic, PartitionId partition) {
  return WithFacts(code, "the log has no such topic or partition",
                   {{"topic", topic}, {"partition", partition.value}});
}

Result<Topic> AskMetadata(const Handle& handle, const std::string& topic) {
  const OwnedTopic asked(rd_kafka_topic_new(handle.get(), topic.c_str(), nullptr));
  if (!asked) return NoSuchTopic(topic);
  const rd_kafka_metadata_t* answer = nullptr;
  const auto error = rd_kafka_metadata(handle.get(), 0, asked.get(), &answer, kAskMillis);
  const OwnedMetadata owned(answer);
  constexpr std::string_view kWhat = "the brokers do not say what they know of a topic";
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return handle.Failed(Code::kUnavailable, kWhat, error, {{"topic", topic}});
  if (answer->topic_cnt != 1) return NoSuchTopic(topic);
  const rd_kafka_metadata_topic& found = answer->topics[0];
  if (IsUnknown(found.err) || found.err == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION)
    return NoSuchTopic(topic);
  if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR &&
      found.err != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
    return handle.Failed(Code::kUnavailable, kWhat, found.err, {{"topic", topic}});
  Topic seen{found.partition_cnt, 0, found.partition_cnt > 0, "", {}};
  for (int i = 0; i < found.partition_cnt; ++i) {
    const rd_kafka_metadata_partition& p = found.partitions[i];
    if (p.leader < 0) seen.led = false;
    seen.replication = i == 0 ? p.replica_cnt : std::min(seen.replication, p.replica_cnt);
  }
  return seen;
}

Result<OffsetRange> AskRange(const Handle& handle, const std::string& topic,
                             PartitionId partition) {
  int64_t start = 0, end = 0;
  const auto deadline = Clock::now() + std::chrono::milliseconds(kAskMillis);
  rd_kafka_resp_err_t error;
  do {
    error = rd_kafka_query_watermark_offsets(handle.get(), topic.c_str(), partition.value, &start,
                                             &end, kAskMillis);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return OffsetRange{Offset(start), Offset(end)};
    if (!LeaderMoves(error)) break;
    std::this_thread::sleep_for(kSpreadPause);
  } while (Clock::now() < deadline);
  if (IsUnknown(error)) return NoSuchPartition(Code::kNotFound, topic, partition);
  return handle.Failed(Code::kUnavailable, "the brokers do not say where a partition ends", error,
                       {{"topic", topic}, {"partition", partition.value}});
}

Result<std::shared_ptr<Admin>> Admin::Open(const Options& options) {
  std::shared_ptr<Admin> admin(new Admin(options));
  MILLRACE_ASSIGN(admin->handle_, Handle::Open(RD_KAFKA_PRODUCER, ClientProperties(options)));
  return admin;
}

Result<std::map<std::string, Admin::Settings>> Admin::Describe(
    const std::vector<std::string>& topics) const {
  std::vector<rd_kafka_ConfigResource_t*> asked;
  for (const std::string& topic : topics)
    asked.push_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
  const Order order(*handle_, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
  rd_kafka_DescribeConfigs(handle_->get(), asked.data(), asked.size(), order.options(),
                           order.queue());
  rd_kafka_ConfigResource_destroy_array(asked.data(), asked.size());
  const OwnedEvent answer = order.Answer();
  constexpr std::string_view kWhat = "the brokers do not say how a topic is set";
  MILLRACE_TRY(Whole(*handle_, answer, kWhat, {{"topic", topics.front()}}));
  std::map<std::string, Settings> found;
  size_t resources = 0;
  const auto* all = rd_kafka_DescribeConfigs_result_resources(
      rd_kafka_event_DescribeConfigs_result(answer.get()), &resources);
  for (size_t i = 0; i < resources; ++i) {
    const std::string name = rd_kafka_ConfigResource_name(all[i]);
    const auto error = rd_kafka_ConfigResource_error(all[i]);
    if (IsUnknown(error)) continue;
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
      return handle_->Failed(Code::kUnavailable, kWhat, error, {{"topic", name}});
    size_t settings = 0;
    const auto* entries = rd_kafka_ConfigResource_configs(all[i], &settings);
    Settings& out = found[name];
    for (size_t s = 0; s < settings; ++s) {
      const char* value = rd_kafka_ConfigEntry_value(entries[s]);
      out[rd_kafka_ConfigEntry_name(entries[s])] = value == nullptr ? "" : value;
    }
  }
  return found;
}

Result<Topic> Admin::Look(const std::string& topic) const {
  MILLRACE_ASSIGN(Topic seen, AskMetadata(*handle_, topic));
  MILLRACE_ASSIGN(auto settings, Describe({topic}));
  if (!settings.contains(topic)) return NoSuchTopic(topic);
  seen.settings = std::move(settings[topic]);
  seen.id = IdOf(seen.settings);
  return seen;
}

Result<std::vector<TopicSpec>> Admin::List() const {
  const rd_kafka_metadata_t* answer = nullptr;
  const auto error = rd_kafka_metadata(handle_->get(), 1, nullptr, &answer, kAskMillis);
  const OwnedMetadata owned(answer);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return handle_->Failed(Code::kUnavailable, "the brokers do not say which topics they have",
                           error, {});
  std::map<std::string, int32_t> partitions;
  for (int i = 0; i < answer->topic_cnt; ++i) {
    const rd_kafka_metadata_topic& t = answer->topics[i];
    if (t.err == RD_KAFKA_RESP_ERR_NO_ERROR) partitions[t.topic] = t.partition_cnt;
  }
  std::vector<TopicSpec> topics;
  std::vector<std::string> some;
  for (auto at = partitions.begin(); at != partitions.end();) {
    some.push_back(at->first);
    if (++at != partitions.end() && some.size() < kDescribed) continue;
    MILLRACE_ASSIGN(const auto settings, Describe(some));
    for (const auto& [name, of_topic] : settings) {
      const std::string id = IdOf(of_topic);
      if (!id.empty()) topics.push_back({name, partitions[name], id});
    }
    some.clear();
  }
  return topics;
}

Status Admin::Check(const TopicSpec& spec, const Topic& topic) const {
  if (topic.partitions != spec.partitions)
    return Conflict("the topic exists with another number of partitions",
                    {{"topic", spec.name}, {"has", topic.partitions}, {"wanted", spec.partitions}});
  if (topic.replication < options_.replication)
    return InvalidArgument(
        "a topic has fewer replicas than the configuration wants: reassign its partitions",
        {{"topic", spec.name}, {"has", topic.replication}, {"wanted", options_.replication}});
  return CheckSettings(spec.name, topic.settings, TopicSettings(options_, ""));
}

Status Admin::CheckTopic(const std::string& topic) const {
  MILLRACE_ASSIGN(const Topic seen, Look(topic));
  return Check({topic, seen.partitions}, seen);
}

Status Admin::Make(const TopicSpec& spec) const {
  char why[256] = "";
  OwnedNewTopic topic(rd_kafka_NewTopic_new(spec.name.c_str(), spec.partitions,
                                            options_.replication, why, sizeof(why)));
  if (!topic)
    return InvalidArgument("no such topic can be made", {{"topic", spec.name}, {"reason", why}});
  const std::string id = RandomId();
  if (id.empty()) return Unavailable("the kernel gives no random number");
  for (const Setting& setting : TopicSettings(options_, id))
    rd_kafka_NewTopic_set_config(topic.get(), setting.name, setting.value.c_str());
  const Order order(*handle_, RD_KAFKA_ADMIN_OP_CREATETOPICS);
  rd_kafka_NewTopic_t* one = topic.get();
  rd_kafka_CreateTopics(handle_->get(), &one, 1, order.options(), order.queue());
  const OwnedEvent answer = order.Answer();
  constexpr std::string_view kWhat = "the brokers do not make a topic";
  MILLRACE_TRY(Whole(*handle_, answer, kWhat, {{"topic", spec.name}}));
  size_t count = 0;
  const auto* made =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(answer.get()), &count);
  const auto error = rd_kafka_topic_result_error(made[0]);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR || error == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
    return {};
  const bool final =
      error == RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION || error == RD_KAFKA_RESP_ERR_INVALID_PARTITIONS ||
      error == RD_KAFKA_RESP_ERR_INVALID_CONFIG || error == RD_KAFKA_RESP_ERR_POLICY_VIOLATION;
  const char* text = rd_kafka_topic_result_error_string(made[0]);
  return handle_->Failed(final ? Code::kInvalidArgument : Code::kUnavailable, kWhat,
                         text == nullptr ? rd_kafka_err2str(error) : text, {{"topic", spec.name}});
}

Status Admin::Create(const TopicSpec& spec) const {
  if (spec.partitions < 1 || spec.name.empty())
    return InvalidArgument("a topic needs a name and at least one partition",
                           {{"name", spec.name}});
  Result<Topic> seen = Look(spec.name);
  if (!seen.ok() && seen.error().code == Code::kNotFound) {
    MILLRACE_TRY(Make(spec));
    const auto deadline = Clock::now() + kSpreadDeadline;
    do {
      std::this_thread::sleep_for(kSpreadPause);
      seen = Look(spec.name);
    } while ((!seen.ok() || !seen->led) && Clock::now() < deadline);
  }
  if (seen.ok()) return Check(spec, *seen);
  return Unavailable("the brokers made a topic but do not tell of it",
                     {{"topic", spec.name}, {"reason", seen.error().message}});
}

Status Admin::Delete(const std::string& topic, const std::string& id) const {
  OwnedDeleteTopic asked(rd_kafka_DeleteTopic_new(topic.c_str()));
  const Order order(*handle_, RD_KAFKA_ADMIN_OP_DELETETOPICS);
  rd_kafka_DeleteTopic_t* one = asked.get();
  rd_kafka_DeleteTopics(handle_->get(), &one, 1, order.options(), order.queue());
  const OwnedEvent answer = order.Answer();
  constexpr std::string_view kWhat = "the brokers do not remove a topic";
  MILLRACE_TRY(Whole(*handle_, answer, kWhat, {{"topic", topic}}));
  size_t count = 0;
  const auto* removed =
      rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(answer.get()), &count);
  const auto error = rd_kafka_topic_result_error(removed[0]);
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR && !IsUnknown(error))
    return handle_->Failed(Code::kUnavailable, kWhat, error, {{"topic", topic}});
  const auto deadline = Clock::now() + kSpreadDeadline;
  for (;;) {
    const Result<Topic> seen = Look(topic);
    const bool gone = seen.ok() ? seen->id != id : seen.error().code == Code::kNotFound;
    if (gone) return {};
    if (Clock::now() > deadline)
      return Unavailable("the brokers removed a topic but still tell of it", {{"topic", topic}});
    std::this_thread::sleep_for(kSpreadPause);
  }
}

Result<OffsetRange> Admin::Range(const std::string& topic, PartitionId partition) const {
  MILLRACE_ASSIGN(const Topic seen, AskMetadata(*handle_, topic));
  if (partition.value < 0 || partition.value >= seen.partitions)
    return NoSuchPartition(Code::kNotFound, topic, partition);
  return AskRange(*handle_, topic, partition);
}

Result<Offset> Admin::OffsetForTime(const std::string& topic, PartitionId partition,
                                    Micros t) const {
  // The end first: what is appended between the two questions must not be left out.
  MILLRACE_ASSIGN(const OffsetRange range, Range(topic, partition));
  // Append times are whole milliseconds, so the first one not before t is t rounded up. Below 0
  // the numbers mean other things to the brokers, and no record is that old.
  const int64_t millis = std::max<int64_t>(0, -FloorDiv(-std::max<Micros>(t, 0), 1'000));
  const OwnedPartitions asked(rd_kafka_topic_partition_list_new(1));
  auto* const one = rd_kafka_topic_partition_list_add(asked.get(), topic.c_str(), partition.value);
  one->offset = millis;
  auto error = rd_kafka_offsets_for_times(handle_->get(), asked.get(), kAskMillis);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) error = one->err;
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
    return handle_->Failed(Code::kUnavailable, "the brokers do not find a time", error,
                           {{"topic", topic}, {"partition", partition.value}});
  return one->offset < 0 ? range.end : Offset(one->offset);
}

Status Admin::DeleteBefore(const std::string& topic, PartitionId partition, Offset before) const {
  MILLRACE_ASSIGN(const OffsetRange range, Range(topic, partition));
  if (before > range.end)
    return Conflict("nothing can be deleted past the end of the log",
                    {{"topic", topic},
                     {"partition", partition.value},
                     {"before", before.value},
                     {"end", range.end.value}});
  if (before <= range.start) return {};
  const OwnedPartitions places(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(places.get(), topic.c_str(), partition.value)->offset =
      before.value;
  OwnedDeleteRecords asked(rd_kafka_DeleteRecords_new(places.get()));
  const Order order(*handle_, RD_KAFKA_ADMIN_OP_DELETERECORDS);
  rd_kafka_DeleteRecords_t* one = asked.get();
  rd_kafka_DeleteRecords(handle_->get(), &one, 1, order.options(), order.queue());
  const OwnedEvent answer = order.Answer();
  constexpr std::string_view kWhat = "the brokers do not delete records";
  const Facts facts = {{"topic", topic}, {"partition", partition.value}, {"before", before.value}};
  MILLRACE_TRY(Whole(*handle_, answer, kWhat, facts));
  const auto* deleted =
      rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(answer.get()));
  const auto error = deleted->elems[0].err;
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  const bool outside = error == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
  return handle_->Failed(outside ? Code::kConflict : Code::kUnavailable, kWhat, error, facts);
}

Result<std::string> Admin::Identity() const {
  char* const id = rd_kafka_clusterid(handle_->get(), kAskMillis);
  if (id == nullptr)
    return handle_->Failed(Code::kUnavailable, "the brokers do not say which cluster they are",
                           "no answer", {});
  std::string identity = id;
  rd_kafka_mem_free(handle_->get(), id);
  return identity;
}

Status Admin::Probe() const {
  const Result<std::string> answer = Identity();
  if (answer.ok() || !handle_->refused()) return answer.ok() ? Status() : answer.error();
  return handle_->Failed(
      Code::kInvalidArgument,
      "the Kafka brokers refuse this client, or it does not trust them: check tls, the files of "
      "certificates, login, user and password of log.kafka",
      "refused", {{"brokers", options_.brokers}});
}

Status Admin::CommitOffsets(const std::string& group, const std::map<Place, Offset>& places) const {
  const OwnedPartitions list(rd_kafka_topic_partition_list_new(static_cast<int>(places.size())));
  for (const auto& [place, next] : places)
    rd_kafka_topic_partition_list_add(list.get(), place.first.c_str(), place.second)->offset =
        next.value;
  OwnedAlterOffsets asked(rd_kafka_AlterConsumerGroupOffsets_new(group.c_str(), list.get()));
  const Order order(*handle_, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS);
  rd_kafka_AlterConsumerGroupOffsets_t* one = asked.get();
  rd_kafka_AlterConsumerGroupOffsets(handle_->get(), &one, 1, order.options(), order.queue());
  const OwnedEvent answer = order.Answer();
  constexpr std::string_view kWhat = "the brokers do not take the progress";
  MILLRACE_TRY(Whole(*handle_, answer, kWhat, {{"group", group}}));
  size_t count = 0;
  const auto* const groups = rd_kafka_AlterConsumerGroupOffsets_result_groups(
      rd_kafka_event_AlterConsumerGroupOffsets_result(answer.get()), &count);
  const rd_kafka_group_result_t* const result = groups[0];
  if (const rd_kafka_error_t* error = rd_kafka_group_result_error(result))
    return handle_->Failed(Code::kUnavailable, kWhat, rd_kafka_error_string(error),
                           {{"group", group}});
  const auto* const taken = rd_kafka_group_result_partitions(result);
  for (int i = 0; taken != nullptr && i < taken->cnt; ++i) {
    const rd_kafka_topic_partition_t& p = taken->elems[i];
    if (p.err != RD_KAFKA_RESP_ERR_NO_ERROR)
      return handle_->Failed(Code::kUnavailable, kWhat, p.err,
                             {{"group", group}, {"topic", p.topic}, {"partition", p.partition}});
  }
  return {};
}

}  // namespace millrace::log_kafka
