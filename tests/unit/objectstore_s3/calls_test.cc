#include "calls.h"

#include <optional>
#include <semaphore>

#include "requests.h"
#include "support/catch.h"
#include "support/test_executor.h"

using namespace millrace;
using namespace millrace::objectstore_s3;
using std::chrono::milliseconds;

namespace {

/// Work that hangs until it is let go.
struct Hanging {
  std::shared_ptr<std::counting_semaphore<>> go = std::make_shared<std::counting_semaphore<>>(0);
  std::shared_ptr<std::atomic<int>> ended = std::make_shared<std::atomic<int>>(0);

  auto Work() const {
    return [go = go, ended = ended](const Calls::Work& work) -> Status {
      work.Expect(milliseconds(1));
      go->acquire();
      if (work.ForCaller([] {})) *ended += 100;
      ++*ended;
      return {};
    };
  }
};

}  // namespace

TEST_CASE("a call ends by its time though its thread hangs, and when all hang at once") {
  test::TestExecutor executor(std::chrono::seconds(60));
  const Hanging hanging;
  {
    Calls calls(2, "");
    const auto run = [&](auto fn) { return executor.RunUntilDone(calls.Run(std::move(fn))); };
    CHECK(run([](const Calls::Work&) -> Status { return {}; }).ok());

    const Status first = run(hanging.Work());
    CHECK(first.error().code == Code::kUnavailable);
    CHECK(first.error().message.find("connections_that_wait=1") != std::string::npos);
    // The other thread goes on.
    CHECK(run([](const Calls::Work&) -> Status { return {}; }).ok());
    CHECK(run(hanging.Work()).error().message.find("connections_that_wait=2") != std::string::npos);
    bool ran = false;
    const Status refused = run([&ran](const Calls::Work&) -> Status {
      ran = true;
      return {};
    });
    CHECK(refused.error().code == Code::kUnavailable);
    CHECK(refused.error().message.find("all connections wait for it") != std::string::npos);
    CHECK_FALSE(ran);

    hanging.go->release(2);
    while (*hanging.ended < 2) std::this_thread::yield();
    // They did not touch what belongs to callers that are gone.
    CHECK(*hanging.ended == 2);
    Status again = Unavailable("not asked yet");
    while (!again.ok()) again = run([](const Calls::Work&) -> Status { return {}; });
    CHECK(again.ok());
  }
}

TEST_CASE("a call is not given up while it uses what belongs to its caller") {
  test::TestExecutor executor(std::chrono::seconds(60));
  const Hanging hanging;
  std::binary_semaphore entered(0), go(0);
  std::optional<Status> first;
  Calls calls(2, "");
  executor.Spawn([](Calls* c, std::binary_semaphore* in, std::binary_semaphore* out,
                    std::optional<Status>* result) -> Task<void> {
    auto run = c->Run([in, out](const Calls::Work& work) -> Status {
      work.Expect(milliseconds(1));
      work.ForCaller([&] {
        in->release();
        out->acquire();
      });
      return {};
    });
    *result = co_await std::move(run);
  }(&calls, &entered, &go, &first));
  executor.RunFor(milliseconds(1));
  entered.acquire();
  // What gives up this call, which is younger, has looked at the first one too.
  CHECK_FALSE(executor.RunUntilDone(calls.Run(hanging.Work())).ok());
  CHECK_FALSE(first.has_value());
  go.release();
  while (!first) executor.RunFor(milliseconds(1));
  CHECK(first->ok());
  hanging.go->release();
}

TEST_CASE("a key of one's own goes with every request that moves bytes") {
  Options options;
  options.bucket = "bucket";
  options.region = "r";
  const Requests requests(options, std::string(32, 'k'));
  const std::map<std::string, std::string> headers = {
      {"x-amz-server-side-encryption-customer-algorithm", "AES256"},
      {"x-amz-server-side-encryption-customer-key", "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="},
      {"x-amz-server-side-encryption-customer-key-md5", "mT2HRsMGJ5IX5C+0rreZ8Q=="}};
  CHECK(requests.bytes_headers() == headers);
  CHECK(requests.new_object_headers() == headers);
  CHECK(requests.checksums());
}
