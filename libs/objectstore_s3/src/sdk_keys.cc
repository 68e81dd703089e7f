#include "sdk_keys.h"

#include <arrow/filesystem/s3fs.h>

#include <optional>

#include "millrace/base/facts.h"

namespace millrace::objectstore_s3 {
namespace {

/// The SDK must be ended before the process is, or it crashes there. It can be started once.
class Sdk {
 public:
  Sdk() : started_(arrow::fs::EnsureS3Initialized()) {
    if (started_.ok()) options_ = arrow::fs::S3Options::Defaults();
  }
  ~Sdk() {
    options_.reset();
    const arrow::Status ended = arrow::fs::EnsureS3Finalized();
    if (!ended.ok()) ended.Warn();
  }
  Sdk(const Sdk&) = delete;

  const arrow::Status& started() const { return started_; }
  const arrow::fs::S3Options& options() const { return *options_; }

 private:
  const arrow::Status started_;
  std::optional<arrow::fs::S3Options> options_;
};

}  // namespace

Result<Keys> KeysOfSdk() {
  // Younger than the SDK's own statics, which were made when the program was loaded: it ends first.
  static const Sdk sdk;
  if (!sdk.started().ok())
    return Unavailable("the AWS SDK does not start", {{"error", sdk.started().ToString()}});
  const arrow::fs::S3Options& options = sdk.options();
  // Temporary keys may be replaced between these questions; the new ones then hold for long.
  Keys keys;
  for (int i = 0; i < 3 && (i == 0 || options.GetAccessKey() != keys.access_key); ++i)
    keys = {options.GetAccessKey(), options.GetSecretKey(), options.GetSessionToken()};
  return keys;
}

}  // namespace millrace::objectstore_s3
