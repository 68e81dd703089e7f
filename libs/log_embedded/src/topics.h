#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "millrace/base/result.h"

namespace millrace::log_embedded {

struct Topic {
  uint32_t id = 0;
  std::vector<int64_t> starts;  ///< by partition: what is below is deleted

  int32_t partitions() const { return static_cast<int32_t>(starts.size()); }
};

/// The topics of a log and its identity. Two files hold the same bytes, so that damage of one costs
/// nothing.
struct Topics {
  std::array<uint32_t, 4> identity{};
  std::map<std::string, Topic> by_name;
  uint32_t next_id = 1;

  /// As 32 hexadecimal digits.
  std::string IdentityText() const;
  /// kNotFound: there is neither file. kCorruption: both are damaged, or one is and the other is
  /// not there. kInvalidArgument: another version of the format.
  static Result<Topics> Load(const std::string& directory);
  Status Save(const std::string& directory) const;
};

}  // namespace millrace::log_embedded
