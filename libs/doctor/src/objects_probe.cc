#include "millrace/doctor/objects_probe.h"

#include <algorithm>

#include "millrace/base/facts.h"
#include "step.h"

namespace millrace::doctor {
namespace {

constexpr const char* kPart = "objects";
/// More than one request carries, so that a store that takes parts gets them.
constexpr size_t kLarge = (8 << 20) + 1;

}  // namespace

Task<Findings> ObjectsProbe::Run() {
  Findings findings;
  const std::string small = prefix_ + "small", large = prefix_ + "large";
  auto putting = Step(kPart, "read after write", PutAndGet(small, "1"), &findings);
  const bool there = co_await std::move(putting);
  if (!there) co_return findings;
  auto listing = Step(kPart, "list after write", Lists(small, true), &findings);
  co_await std::move(listing);
  auto replacing = Step(kPart, "overwrite", PutAndGet(small, "another"), &findings);
  co_await std::move(replacing);
  auto parts = Step(kPart, "put in parts", PutAndGet(large, std::string(kLarge, 'x')), &findings);
  co_await std::move(parts);
  auto deleting = Step(kPart, "delete", IsGone(small), &findings);
  co_await std::move(deleting);
  auto cleaning = Step(kPart, "delete a large object", IsGone(large), &findings);
  const bool cleaned = co_await std::move(cleaning);
  if (!cleaned) findings.back().advice = "delete what is left by hand: " + large;
  co_return findings;
}

Task<Status> ObjectsProbe::PutAndGet(std::string key, std::string bytes) {
  const Buffer data = Buffer::Own(std::move(bytes));
  MILLRACE_CO_TRY(co_await store_.Put(key, data));
  MILLRACE_CO_ASSIGN(const Buffer read, co_await store_.Get(key));
  if (read.bytes == data.bytes) co_return Status();
  co_return Corruption(
      "the store gives another object than was put just before: use a store in "
      "which a put that was acknowledged is seen by every read",
      {{"key", key}, {"bytes", read.bytes.size()}, {"wanted", data.bytes.size()}});
}

Task<Status> ObjectsProbe::Lists(std::string key, bool wanted) {
  MILLRACE_CO_ASSIGN(const std::vector<ObjectInfo> found,
                     co_await store_.List(prefix_, "", kMaxObjectsListed));
  const bool there = std::any_of(found.begin(), found.end(),
                                 [&](const ObjectInfo& object) { return object.key == key; });
  if (there == wanted) co_return Status();
  co_return Corruption(wanted ? "the store does not list an object that was put just before"
                              : "the store lists an object that was deleted just before",
                       {{"key", key}});
}

Task<Status> ObjectsProbe::IsGone(std::string key) {
  MILLRACE_CO_TRY(co_await store_.Delete(key));
  const auto read = co_await store_.Get(key);
  if (read.ok())
    co_return Corruption("the store gives an object that was deleted just before", {{"key", key}});
  if (read.error().code != Code::kNotFound) co_return read.error();
  auto listed = Lists(key, false);
  const Status gone = co_await std::move(listed);
  co_return gone;
}

}  // namespace millrace::doctor
