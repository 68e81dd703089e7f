#pragma once

#include "millrace/doctor/probe.h"
#include "millrace/objectstore_s3/options.h"

namespace millrace::objectstore_s3 {

/// Looks at what belongs to a bucket as a whole: whether it is there, versioning, rules that remove
/// objects, checksums. Puts one object, under `_millrace/doctor/` in the configured prefix.
class BucketProbe : public doctor::Probe {
 public:
  /// `mark` belongs to this run alone: letters and digits.
  BucketProbe(Options options, const std::string& mark)
      : options_(std::move(options)), key_("_millrace/doctor/" + mark + "/checksum") {}

  Task<doctor::Findings> Run() override;

 private:
  const Options options_;
  const std::string key_;
};

}  // namespace millrace::objectstore_s3
