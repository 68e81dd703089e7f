#include "millrace/log_kafka/kafka_log.h"

#include "admin.h"
#include "appender.h"
#include "callers.h"
#include "consumers.h"
#include "progress.h"
#include "reader.h"
#include "topic_settings.h"

// g++ 12 destroys a closure twice that is a temporary of a co_await expression: each gets a name
// first.

namespace millrace::log_kafka {
namespace {

constexpr size_t kAdminThreads = 2;
constexpr size_t kReaderThreads = 4;
constexpr size_t kMostCalls = 1'024;

}  // namespace

/// The order of the members is the order of the start; the end goes the other way.
struct KafkaLog::Core {
  explicit Core(const Options& options)
      : appender(options, &callers), consumers(std::make_shared<Consumers>(options)) {}

  std::shared_ptr<Admin> admin;
  std::unique_ptr<ProgressNotes> progress;
  Appender appender;
  std::shared_ptr<Consumers> consumers;
  /// Grows when this process changed what readers may have fetched.
  std::shared_ptr<std::atomic<uint64_t>> changes = std::make_shared<std::atomic<uint64_t>>(0);
  Callers callers{kAdminThreads, kMostCalls};
  std::shared_ptr<Callers> readers = std::make_shared<Callers>(kReaderThreads, kMostCalls);
};

Result<std::unique_ptr<KafkaLog>> KafkaLog::Open(Options options) {
  MILLRACE_TRY(Check(options));
  auto core = std::make_unique<Core>(options);
  MILLRACE_ASSIGN(core->admin, Admin::Open(options));
  core->progress = std::make_unique<ProgressNotes>(core->admin, options.group);
  return std::unique_ptr<KafkaLog>(new KafkaLog(std::move(core)));
}

KafkaLog::KafkaLog(std::unique_ptr<Core> core) : core_(std::move(core)) {}
KafkaLog::~KafkaLog() = default;

Task<Status> KafkaLog::CreateTopic(TopicSpec topic) {
  auto work = core_->callers.Call([admin = core_->admin, topic] { return admin->Create(topic); });
  auto created = co_await std::move(work);
  co_return created;
}

Task<Result<std::vector<TopicSpec>>> KafkaLog::ListTopics() {
  auto work = core_->callers.Call([admin = core_->admin] { return admin->List(); });
  auto topics = co_await std::move(work);
  co_return topics;
}

Task<Result<TopicSpec>> KafkaLog::DescribeTopic(std::string name) {
  auto work = core_->callers.Call([admin = core_->admin, name]() -> Result<TopicSpec> {
    MILLRACE_ASSIGN(const Topic seen, admin->Look(name));
    return TopicSpec{name, seen.partitions, seen.id};
  });
  auto topic = co_await std::move(work);
  co_return topic;
}

Task<Status> KafkaLog::RemoveTopic(TopicSpec topic) {
  auto work = core_->callers.Call([admin = core_->admin, appender = &core_->appender,
                                   changes = core_->changes, topic]() -> Status {
    const Result<Topic> seen = admin->Look(topic.name);
    if (!seen.ok() && seen.error().code == Code::kNotFound) return {};
    if (!seen.ok()) return seen.error();
    if (topic.id.empty() || seen->id != topic.id) return {};
    // The library knows topics by name only: what it still has for this one it would send to
    // the next one.
    MILLRACE_TRY(appender->Hold(topic.name));
    const Status removed = admin->Delete(topic.name, topic.id);
    ++*changes;
    appender->Resume(topic.name, removed.ok());
    return removed;
  });
  auto removed = co_await std::move(work);
  co_return removed;
}

Task<Result<Offset>> KafkaLog::Append(std::string topic, PartitionId partition, LogEntry entry) {
  return core_->appender.Append(std::move(topic), partition, std::move(entry));
}

std::unique_ptr<LogReader> KafkaLog::OpenReader(std::string topic, PartitionId partition,
                                                Offset from) {
  return std::make_unique<Reader>(
      Reading{core_->admin, core_->consumers, core_->readers, core_->changes}, std::move(topic),
      partition, from);
}

Task<Result<OffsetRange>> KafkaLog::Range(std::string topic, PartitionId partition) {
  auto work = core_->callers.Call(
      [admin = core_->admin, topic, partition] { return admin->Range(topic, partition); });
  auto range = co_await std::move(work);
  co_return range;
}

Task<Result<Offset>> KafkaLog::OffsetForTime(std::string topic, PartitionId partition, Micros t) {
  auto work = core_->callers.Call([admin = core_->admin, topic, partition, t] {
    return admin->OffsetForTime(topic, partition, t);
  });
  auto found = co_await std::move(work);
  co_return found;
}

Task<Status> KafkaLog::DeleteBefore(std::string topic, PartitionId partition, Offset before) {
  auto work = core_->callers.Call(
      [admin = core_->admin, changes = core_->changes, topic, partition, before] {
        Status deleted = admin->DeleteBefore(topic, partition, before);
        ++*changes;
        return deleted;
      });
  auto deleted = co_await std::move(work);
  co_return deleted;
}

Task<Result<int64_t>> KafkaLog::Bytes(std::string topic, PartitionId partition, Offset) {
  const auto range = co_await Range(topic, partition);
  if (!range.ok()) co_return range.error();
  co_return Conflict("Kafka does not tell how many bytes records take",
                     {{"topic", topic}, {"partition", partition.value}});
}

Task<Result<std::string>> KafkaLog::Identity() {
  auto work = core_->callers.Call([admin = core_->admin] { return admin->Identity(); });
  auto identity = co_await std::move(work);
  co_return identity;
}

Task<Result<ForeignTopic>> KafkaLog::CheckForeignTopic(std::string name) {
  auto work = core_->callers.Call([admin = core_->admin, name]() -> Result<ForeignTopic> {
    MILLRACE_ASSIGN(const Topic seen, admin->Look(name));
    MILLRACE_TRY(CheckSettings(name, seen.settings, ForeignSettings()));
    return ForeignTopic{seen.partitions, HasAppendTimes(seen.settings)};
  });
  auto checked = co_await std::move(work);
  co_return checked;
}

Task<Status> KafkaLog::Probe() {
  auto work = core_->callers.Call([admin = core_->admin] { return admin->Probe(); });
  auto probed = co_await std::move(work);
  co_return probed;
}

void KafkaLog::NoteProgress(Progress progress) { core_->progress->Note(progress); }

}  // namespace millrace::log_kafka
