#include <functional>

#include "contract/object_store_contract.h"
#include "millrace/metrics/in_memory_metrics.h"
#include "millrace/objectstore/in_memory_object_store.h"
#include "millrace/objectstore/metered_object_store.h"
#include "millrace/objectstore/retrying_object_store.h"

using namespace millrace;

namespace {

/// Ends the first calls with an error, before they do anything or after.
class Failing : public InMemoryObjectStore {
 public:
  int fail = 0;  ///< calls that still fail
  bool after = false;
  Code code = Code::kUnavailable;
  int calls = 0;

  Task<Status> Put(std::string key, Buffer data) override {
    ++calls;
    if (fail > 0 && !after) {
      --fail;
      co_return Error{code, "injected"};
    }
    auto put = co_await InMemoryObjectStore::Put(std::move(key), std::move(data));
    if (fail > 0) {
      --fail;
      co_return Error{code, "injected"};
    }
    co_return put;
  }
  Task<Status> PutFrom(std::string key, std::shared_ptr<ByteSource> source) override {
    ++calls;
    if (fail-- > 0) {
      if (after) source->Read(1).Ignore("the test asks what follows from it");
      co_return Error{code, "injected"};
    }
    auto put = co_await InMemoryObjectStore::PutFrom(std::move(key), std::move(source));
    co_return put;
  }
  Task<Result<std::vector<ObjectInfo>>> List(std::string prefix, std::string from,
                                             size_t limit) override {
    ++calls;
    if (fail-- > 0) co_return Error{code, "injected"};
    auto list = co_await InMemoryObjectStore::List(std::move(prefix), std::move(from), limit);
    co_return list;
  }
};

struct Fixture {
  test::TestExecutor executor;
  Failing inner;
  RetryingObjectStore store{&inner};

  auto Run(auto task) { return executor.RunUntilDone(std::move(task)); }
};

}  // namespace

TEST_CASE("a store whose calls are tried again keeps the contract of object stores") {
  test::TestExecutor executor;
  InMemoryObjectStore inner;
  RetryingObjectStore store(&inner);
  test::CheckObjectStoreContract(executor, store);
}

TEST_CASE("a store whose calls are counted keeps the contract of object stores") {
  test::TestExecutor executor;
  InMemoryMetrics metrics;
  InMemoryObjectStore inner;
  MeteredObjectStore store(&inner, &metrics);
  test::CheckObjectStoreContract(executor, store);
}

TEST_CASE_METHOD(Fixture, "what fails in passing is tried again, also if it took effect unknown") {
  inner.after = GENERATE(false, true);
  inner.fail = 2;
  const auto before = executor.Monotonic();
  REQUIRE(Run(store.Put("k", Buffer::Own("x"))).ok());
  CHECK(inner.calls == 3);
  // It waits between the tries, each time for longer.
  CHECK(executor.Monotonic() - before == std::chrono::milliseconds(50 + 100));
  CHECK(Run(store.Get("k")).value().bytes == "x");
}

TEST_CASE_METHOD(Fixture, "a call is tried three times, and what is final is not tried again") {
  inner.fail = 100;
  CHECK(Run(store.List("", "", 1)).error().code == Code::kUnavailable);
  CHECK(inner.calls == 3);
  inner.calls = 0;
  inner.code = GENERATE(Code::kInvalidArgument, Code::kNotFound, Code::kCorruption);
  CHECK(Run(store.List("", "", 1)).error().code == inner.code);
  CHECK(inner.calls == 1);
}

TEST_CASE_METHOD(Fixture, "while everything fails there are no more calls than were made") {
  inner.fail = 1'000'000;
  constexpr int kCalls = 1'000;
  for (int i = 0; i < kCalls; ++i) CHECK_FALSE(Run(store.List("", "", 1)).ok());
  CHECK(inner.calls == kCalls + 10);
  // Calls that succeed earn tries for those that will not.
  inner.fail = 0;
  for (int i = 0; i < 10; ++i) CHECK(Run(store.List("", "", 1)).ok());
  inner.fail = 1;
  CHECK(Run(store.List("", "", 1)).ok());
  inner.fail = 1;
  CHECK_FALSE(Run(store.List("", "", 1)).ok());
}

TEST_CASE_METHOD(Fixture, "a stream that was begun is not begun again") {
  const auto source = [] { return std::make_shared<BufferSource>(Buffer::Own("bytes")); };
  inner.fail = 1;
  REQUIRE(Run(store.PutFrom("k", source())).ok());
  CHECK(Run(store.Get("k")).value().bytes == "bytes");
  inner.fail = 1;
  inner.after = true;
  inner.calls = 0;
  CHECK(Run(store.PutFrom("k", source())).error().code == Code::kUnavailable);
  CHECK(inner.calls == 1);
}

TEST_CASE("calls, results, bytes and times of an object store are counted") {
  test::TestExecutor executor;
  const auto run = [&](auto task) { return executor.RunUntilDone(std::move(task)); };
  InMemoryMetrics metrics;
  Failing inner;
  MeteredObjectStore store(&inner, &metrics);
  const auto calls = [&](const char* call, const char* result) {
    return metrics.Value("millrace_objectstore_calls_total", {{"call", call}, {"result", result}});
  };
  REQUIRE(run(store.Put("k", Buffer::Own("12345"))).ok());
  const auto source = std::make_shared<BufferSource>(Buffer::Own("123"));
  REQUIRE(run(store.PutFrom("l", source)).ok());
  REQUIRE(run(store.Get("k")).ok());
  REQUIRE(run(store.GetTo("l", std::make_shared<test::Collected>())).ok());
  CHECK_FALSE(run(store.Get("absent")).ok());
  inner.fail = 1;
  CHECK_FALSE(run(store.Put("k", Buffer::Own("x"))).ok());
  CHECK_FALSE(run(store.Put("..", Buffer::Own("x"))).ok());
  CHECK(calls("put", "ok") == 2);
  CHECK(calls("put", "unavailable") == 1);
  CHECK(calls("put", "refused") == 1);
  CHECK(calls("get", "ok") == 2);
  CHECK(calls("get", "absent") == 1);
  CHECK(metrics.Value("millrace_objectstore_bytes_total", {{"call", "put"}}) == 5 + 3 + 1 + 1);
  CHECK(metrics.Value("millrace_objectstore_bytes_total", {{"call", "get"}}) == 8);
  CHECK(metrics.Value("millrace_objectstore_call_duration_seconds", {{"call", "put"}}) == 4);
}
