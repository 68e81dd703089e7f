#pragma once

#include "millrace/objectstore/object_store.h"
#include "support/catch.h"
#include "support/test_executor.h"

namespace millrace::test {

/// Keeps what is written to it.
struct Collected : ByteSink {
  Status Write(std::string_view piece) override {
    if (refuses) return Corruption("refused");
    bytes.append(piece);
    return {};
  }
  Status Finish() override {
    finished = true;
    return {};
  }
  std::string bytes;
  bool finished = false;
  bool refuses = false;
};

/// A source that ends in an error.
struct Broken : ByteSource {
  Result<std::string> Read(size_t) override {
    if (reads++ == 0) return std::string("some");
    return Unavailable("broken");
  }
  int reads = 0;
};

/// What every body of the port `objectstore` promises. `store` is empty.
inline void CheckObjectStoreContract(TestExecutor& executor, ObjectStore& store) {
  const auto run = [&](auto task) { return executor.RunUntilDone(std::move(task)); };
  const auto put = [&](const std::string& key, std::string bytes) {
    return run(store.Put(key, Buffer::Own(std::move(bytes))));
  };
  const auto keys = [&](const std::string& prefix) {
    std::string joined;
    const auto found = run(store.List(prefix)).value();
    for (const ObjectInfo& o : found) joined += o.key + ":" + std::to_string(o.size) + " ";
    return joined;
  };

  SECTION("an object that was put is there, whole, until it is replaced or deleted") {
    const std::string bytes =
        GENERATE(std::string(), std::string("a\0b\xff", 4), std::string(3'000'000, 'x'));
    REQUIRE(put("a/b/c.bin", bytes).ok());
    CHECK(run(store.Get("a/b/c.bin")).value().bytes == bytes);
    CHECK(run(store.Stat("a/b/c.bin")).value().size == static_cast<int64_t>(bytes.size()));
    const auto source = std::make_shared<BufferSource>(Buffer::Own(bytes));
    REQUIRE(run(store.PutFrom("a/b/from", source)).ok());
    CHECK(run(store.Get("a/b/from")).value().bytes == bytes);
    const auto sink = std::make_shared<Collected>();
    REQUIRE(run(store.GetTo("a/b/c.bin", sink)).ok());
    CHECK(sink->bytes == bytes);
    CHECK(sink->finished);
    REQUIRE(put("a/b/c.bin", "new").ok());
    CHECK(run(store.Get("a/b/c.bin")).value().bytes == "new");
    REQUIRE(run(store.Delete("a/b/c.bin")).ok());
    CHECK(run(store.Get("a/b/c.bin")).error().code == Code::kNotFound);
  }

  SECTION("an error of the source or the sink is told, and leaves no object or the old one") {
    REQUIRE(run(store.PutFrom("k", std::make_shared<Broken>())).error().message == "broken");
    CHECK(run(store.Get("k")).error().code == Code::kNotFound);
    REQUIRE(put("k", "old").ok());
    CHECK(run(store.PutFrom("k", std::make_shared<Broken>())).error().code == Code::kUnavailable);
    CHECK(run(store.Get("k")).value().bytes == "old");
    CHECK(keys("") == "k:3 ");
    const auto sink = std::make_shared<Collected>();
    sink->refuses = true;
    CHECK(run(store.GetTo("k", sink)).error().code == Code::kCorruption);
    CHECK(run(store.GetTo("absent", sink)).error().code == Code::kNotFound);
  }

  SECTION("what is read stays when the object goes") {
    REQUIRE(put("k", "kept").ok());
    const Buffer held = run(store.Get("k")).value();
    REQUIRE(put("k", "other").ok());
    REQUIRE(run(store.Delete("k")).ok());
    CHECK(held.bytes == "kept");
  }

  SECTION("an absent object is not found, and deleting it is fine") {
    REQUIRE(put("a/b", "x").ok());
    for (const char* key : {"a/c", "a", "b", "x/y/z"}) {
      INFO(key);
      CHECK(run(store.Get(key)).error().code == Code::kNotFound);
      CHECK(run(store.Stat(key)).error().code == Code::kNotFound);
      CHECK(run(store.Delete(key)).ok());
    }
    CHECK(keys("") == "a/b:1 ");
  }

  SECTION("a list holds the objects below a prefix, by key") {
    CHECK(keys("") == "");
    CHECK(keys("a/") == "");
    for (const char* key : {"b/1", "a/z=1/y", "a/10", "a/2", "a-b/3", "top"})
      REQUIRE(put(key, "12").ok());
    CHECK(keys("a/") == "a/10:2 a/2:2 a/z=1/y:2 ");
    CHECK(keys("a/z=1/") == "a/z=1/y:2 ");
    CHECK(keys("") == "a-b/3:2 a/10:2 a/2:2 a/z=1/y:2 b/1:2 top:2 ");
    CHECK(keys("nothing/") == "");
    REQUIRE(run(store.Delete("a/z=1/y")).ok());
    CHECK(keys("a/z=1/") == "");
  }

  SECTION("an object tells when it was put, and a replaced one when it was replaced") {
    REQUIRE(put("t/a", "1").ok());
    REQUIRE(put("t/b", "1").ok());
    const auto before = run(store.List("t/")).value();
    REQUIRE(before.size() == 2);
    CHECK(before[0].modified > 0);
    CHECK(before[0].modified <= before[1].modified);
    CHECK(run(store.Stat("t/b")).value().modified == before[1].modified);
    const auto replaced = [&] {
      REQUIRE(put("t/a", "2").ok());
      executor.RunFor(std::chrono::seconds(1));
      return run(store.Stat("t/a")).value().modified;
    };
    Micros after = replaced();
    for (int i = 0; i < 100'000 && after <= before[1].modified; ++i) after = replaced();
    CHECK(after > before[1].modified);
  }

  SECTION("what is no key is refused") {
    const std::string key = GENERATE(as<std::string>(), "", "/a", "a/", "a//b", "..", "a/../b",
                                     ".tmp/0", "a/.b", "a\nb", std::string(1025, 'k'));
    INFO(key);
    CHECK(put(key, "x").error().code == Code::kInvalidArgument);
    CHECK(run(store.Get(key)).error().code == Code::kInvalidArgument);
    CHECK(run(store.PutFrom(key, std::make_shared<Broken>())).error().code ==
          Code::kInvalidArgument);
    CHECK(run(store.GetTo(key, std::make_shared<Collected>())).error().code ==
          Code::kInvalidArgument);
    CHECK(run(store.Delete(key)).error().code == Code::kInvalidArgument);
    CHECK(run(store.List("a")).error().code == Code::kInvalidArgument);
    CHECK(run(store.List("../")).error().code == Code::kInvalidArgument);
  }
}

}  // namespace millrace::test
