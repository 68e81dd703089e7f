#pragma once

#include <string>

#include "millrace/objectstore_s3/options.h"

namespace millrace::objectstore_s3 {

/// Whom to ask.
struct Server {
  std::string scheme;
  std::string
      host;  ///< with the port, if one is given; with the bucket, if that is no part of paths
  bool bucket_in_path = true;
};

Server ServerOf(const Options& options);
std::string RegionOf(const Options& options);
bool IsAws(const Options& options);

}  // namespace millrace::objectstore_s3
