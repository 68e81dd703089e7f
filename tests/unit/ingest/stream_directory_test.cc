#include "millrace/ingest/stream_directory.h"

#include "fixture.h"
#include "millrace/control/control_writer.h"
#include "support/catch.h"

namespace millrace::ingest {
namespace {

/// A log whose control topic is read late: what was appended comes when it is let through.
class LateControlLog : public test::ForwardingLog {
 public:
  using ForwardingLog::ForwardingLog;

  bool late = false;
  bool broken = false;  ///< nobody can tell where the topic ends
  int ends_asked = 0;

  void LetThrough() {
    late = false;
    through_.Notify();
  }

  std::unique_ptr<LogReader> OpenReader(std::string topic, PartitionId partition,
                                        Offset from) override {
    return std::make_unique<Reader>(this, inner()->OpenReader(std::move(topic), partition, from));
  }
  Task<Result<OffsetRange>> Range(std::string topic, PartitionId partition) override {
    ++ends_asked;
    if (broken) co_return Unavailable("no broker answers");
    auto range = co_await inner()->Range(std::move(topic), partition);
    co_return range;
  }

 private:
  class Reader : public LogReader {
   public:
    Reader(LateControlLog* log, std::unique_ptr<LogReader> reader)
        : log_(log), reader_(std::move(reader)) {}
    Task<Result<LogBatch>> Next(size_t max_bytes, std::chrono::microseconds wait) override {
      while (log_->late) co_await log_->through_.Wait();
      auto batch = co_await reader_->Next(max_bytes, wait);
      // What came in this wait is late too.
      while (log_->late) co_await log_->through_.Wait();
      co_return batch;
    }

   private:
    LateControlLog* const log_;
    const std::unique_ptr<LogReader> reader_;
  };

  millrace::Event through_;
};

/// A gateway of a process that folds the control log, and a leader elsewhere.
struct Process : Fixture {
  Process() {
    for (control::ControlReader* one : {&leader, &reader}) {
      REQUIRE(executor.RunUntilDone(one->Start()).ok());
      executor.Spawn(one->Follow());
    }
    Write(control::Claim{1, "c", {"a", 1}});
    gateway.LookIn(&directory);
    executor.Spawn(directory.Follow());
  }
  ~Process() {
    leader.Stop();
    reader.Stop();
  }

  void Write(control::Record record) {
    if (control::Stamp* stamp = control::StampOf(&record)) *stamp = {1, ++count};
    CHECK(executor.RunUntilDone(writer.Write(std::move(record))).value() ==
          control::Verdict::kValid);
  }
  void Define() {
    spec = Stream();
    const TopicSpec topic{spec.topic, spec.partitions};
    REQUIRE(executor.RunUntilDone(log.CreateTopic(topic)).ok());
    Write(control::DefineStream{{}, spec});
    spec = *leader.fold().FindStream("default", "s");
  }
  std::string ErrorOf(const std::optional<PublishReply>& reply) {
    return reply && reply->error ? reply->error->reason : "";
  }

  LateControlLog late{&log};
  control::ControlReader leader{&log};
  control::ControlWriter writer{&log, &leader};
  int64_t count = 0;
  control::ControlReader reader{&late};
  StreamDirectory directory{&executor, &reader, &executor, &gateway};
};

}  // namespace

TEST_CASE_METHOD(Process, "a gateway takes events for a stream that it has not read of yet") {
  late.late = true;
  Define();
  const auto first = Start(Request({Json("a", 1)}, 0));
  const auto second = Start(Request({Json("a", 2)}, 1));
  executor.RunFor(std::chrono::seconds(1));
  CHECK_FALSE(first->has_value());
  late.LetThrough();
  executor.RunFor(std::chrono::seconds(1));
  REQUIRE(first->has_value());
  REQUIRE(second->has_value());
  CHECK_FALSE((*first)->error);
  // In the order in which they came, although both had to look.
  std::vector<int64_t> sequences;
  for (const EventBatch& block : Blocks())
    for (uint32_t row = 0; row < block.rows; ++row) sequences.push_back(block.sequence[row]);
  CHECK(sequences == std::vector<int64_t>{0, 1});
}

TEST_CASE_METHOD(Process, "a stream that does not exist is looked for once") {
  Define();
  late.ends_asked = 0;
  PublishRequest request = Request({Json("a", 1)});
  request.stream = "other";
  CHECK(ErrorOf(Publish(request)) == "UNKNOWN_STREAM");
  CHECK(late.ends_asked == 1);
  CHECK_FALSE(Publish(Request({Json("a", 1)})).error);
  CHECK(late.ends_asked == 1);
  // Those who look at the same time look together: two readings, however many they are.
  std::vector<std::shared_ptr<std::optional<PublishReply>>> replies;
  for (int i = 0; i < 50; ++i) {
    request.stream = "other" + std::to_string(i);
    replies.push_back(Start(request));
  }
  executor.RunFor(std::chrono::seconds(1));
  for (const auto& reply : replies) CHECK(ErrorOf(*reply) == "UNKNOWN_STREAM");
  CHECK(late.ends_asked <= 3);
}

TEST_CASE_METHOD(Process, "a gateway that cannot tell whether a stream exists says so") {
  late.broken = true;
  const PublishReply reply = Publish(Fixture::Request({Json("a", 1)}));
  REQUIRE(reply.error);
  CHECK(reply.error->code == Code::kUnavailable);
  CHECK(reply.error->reason == "RECOVERING");
}

TEST_CASE_METHOD(Process,
                 "a dropped stream leaves the gateway, and its name goes to the next one") {
  Define();
  CHECK_FALSE(Publish(Request({Json("a", 1)})).error);
  Write(control::DropStream{{}, "default", "s", spec.generation, {}});
  executor.RunFor(std::chrono::seconds(1));
  CHECK(ErrorOf(Publish(Request({Json("a", 2)}))) == "UNKNOWN_STREAM");
  // Both are read at once.
  Define();
  late.late = true;
  Write(control::DropStream{{}, "default", "s", spec.generation, {}});
  Define();
  late.LetThrough();
  executor.RunFor(std::chrono::seconds(1));
  REQUIRE(gateway.Streams().size() == 1);
  CHECK(gateway.Streams()[0].generation == spec.generation);
}

TEST_CASE_METHOD(Process, "what the fold dropped is gone from the gateway when it has settled") {
  Define();
  executor.RunFor(std::chrono::seconds(1));
  Write(control::DropStream{{}, "default", "s", spec.generation, {}});
  REQUIRE(executor.RunUntilDone(reader.CatchUp()).ok());
  executor.RunUntilDone([](StreamDirectory* of) -> Task<bool> {
    co_await of->Settle();
    co_return true;
  }(&directory));
  CHECK(gateway.Streams().empty());
}

}  // namespace millrace::ingest
