#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "millrace/base/result.h"

namespace millrace::log_embedded {

struct Topic {
  uint32_t id = 0;
  int32_t partitions = 0;
};

/// The topics of a log. Two files hold the same bytes, so that damage of one costs nothing.
struct Topics {
  std::map<std::string, Topic> by_name;
  uint32_t next_id = 1;

  /// kNotFound: there is neither file. kCorruption: both are damaged, or one is and the other is
  /// not there.
  static Result<Topics> Load(const std::string& directory);
  Status Save(const std::string& directory) const;
};

}  // namespace millrace::log_embedded
