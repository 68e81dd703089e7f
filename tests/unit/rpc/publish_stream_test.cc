#include "publish_stream.h"

#include <catch2/catch.hpp>

#include "millrace/ingest/v1/ingest.pb.h"
#include "support/test_executor.h"

namespace millrace::rpc {
namespace {

/// Counts batches that a call starts, and lets none of them run.
class CountingExecutor : public test::TestExecutor {
 public:
  void Spawn(Task<void>) override { ++spawned; }

  int spawned = 0;
};

/// A call whose reads and writes end when the test says so.
struct Fixture {
  CountingExecutor executor;
  const std::shared_ptr<PublishStreams> streams =
      std::make_shared<PublishStreams>(PublishStreams::Limits{4, 1 << 20});
  PublishStreams::Reactor* const call = streams->Open(&executor, nullptr);

  ~Fixture() { call->OnDone(); }
};

}  // namespace

TEST_CASE_METHOD(Fixture, "a batch that is read is begun") {
  call->OnReadDone(true);
  CHECK(executor.spawned == 1);
}

TEST_CASE_METHOD(Fixture, "a batch whose read ends after the call was told STOPPING is not begun") {
  streams->Drain();
  call->OnReadDone(true);
  CHECK(executor.spawned == 0);
}

}  // namespace millrace::rpc
