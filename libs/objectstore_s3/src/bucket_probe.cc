#include "millrace/objectstore_s3/bucket_probe.h"

#include "bucket.h"
#include "bucket_rules.h"
#include "millrace/objectstore_s3/s3_object_store.h"

// g++ 12 destroys a closure twice that is a temporary of a co_await expression: each gets a name
// first.

namespace millrace::objectstore_s3 {
namespace {

using doctor::Failed;
using doctor::Finding;
using doctor::Findings;
using doctor::Grade;

constexpr const char* kPart = "objects";

/// What the store says of one setting of the bucket; an empty element where it has none, or where
/// the store does not know the setting at all.
Result<XmlElement> Ask(Requests* requests, const Calls::Work& work, const std::string& setting) {
  const Request request{"GET", "", {{setting, ""}}, {}, {}};
  MILLRACE_ASSIGN(const Answer answer, requests->Send(work, request));
  for (const char* const none : {"NoSuchLifecycleConfiguration", "NotImplemented"})
    if (answer.code == none) return XmlElement{};
  if (!answer.ok()) return Refused("the bucket's " + setting + " cannot be read", "", answer);
  return ParseXml(answer.http.body);
}

Finding Unknown(const char* check, const Error& error, const char* advice) {
  return {kPart, check, Grade::kWarn, error.message, advice};
}

Finding Versioning(const Result<XmlElement>& answer) {
  constexpr const char* kCheck = "versioning";
  if (!answer.ok())
    return Unknown(kCheck, answer.error(), "see yourself that old versions do not pile up");
  if (answer->Text("Status") != "Enabled")
    return {kPart, kCheck, Grade::kOk, "no versions are kept"};
  return {kPart, kCheck, Grade::kWarn, "every checkpoint that was replaced is kept as a version",
          "add a rule that removes versions which are not current after a day, or suspend "
          "versioning"};
}

Finding Lifecycle(const Result<XmlElement>& answer, const std::string& prefix) {
  constexpr const char* kCheck = "lifecycle rules";
  if (!answer.ok())
    return Unknown(kCheck, answer.error(), "see yourself that no rule removes or moves objects");
  const std::vector<std::string> rules = RulesThatRemove(*answer, prefix);
  if (rules.empty()) return {kPart, kCheck, Grade::kOk, "no rule removes or moves objects"};
  std::string found = "rules remove or move objects that are still needed:";
  for (const std::string& rule : rules) found += " " + rule;
  return {kPart, kCheck, Grade::kFail, found,
          "remove these rules: a checkpoint may be days old and still needed"};
}

/// Whether the store takes the checksum that `when_supported` sends.
Finding Checksums(const Options& options, const Calls::Work& work, const std::string& key) {
  constexpr const char* kCheck = "checksum";
  const bool sends = Requests(options, "").checksums();
  Options sending = options;
  sending.checksum = Checksum::kWhenSupported;
  Bucket bucket(sending, "");
  BufferSource source(Buffer::Own("checksum"));
  const Status put = bucket.Put(work, key, &source);
  if (!put.ok() && sends)
    return Failed(kPart, kCheck, put.error(), "set objects.s3.checksum to when_required");
  if (!put.ok()) return {kPart, kCheck, Grade::kOk, "the store takes none, and none is sent"};
  const Status deleted = bucket.Delete(work, key);
  if (!deleted.ok()) return Failed(kPart, kCheck, deleted.error(), "delete it by hand: " + key);
  return {kPart, kCheck, Grade::kOk,
          sends ? "objects carry one"
                : "objects carry none; the store would take one: objects.s3.checksum"};
}

Result<Findings> Look(const Calls::Work& work, const Options& options, const std::string& key) {
  // A key of the operator's own goes with each request that moves bytes: none of these does.
  Options plain = options;
  plain.encryption = {};
  MILLRACE_TRY(Bucket(plain, "").Probe(work));
  Findings findings{{kPart, "bucket", Grade::kOk, "it can be listed; bucket=" + options.bucket}};
  Requests requests(plain, "");
  findings.push_back(Versioning(Ask(&requests, work, "versioning")));
  findings.push_back(Lifecycle(Ask(&requests, work, "lifecycle"), options.prefix));
  if (options.encryption.by == Encryption::By::kBucket)
    findings.push_back(Checksums(options, work, key));
  return findings;
}

}  // namespace

Task<Findings> BucketProbe::Run() {
  Calls calls(1, options_.ca_file);
  auto looking = calls.Run([options = options_, key = key_](const Calls::Work& work) {
    return Look(work, options, key);
  });
  const Result<Findings> looked = co_await std::move(looking);
  if (looked.ok()) co_return *looked;
  Findings unreached{Failed(kPart, "bucket", looked.error())};
  co_return unreached;
}

}  // namespace millrace::objectstore_s3
