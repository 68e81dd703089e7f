#pragma once

#include <string>
#include <vector>

#include "millrace/config/settings.h"

namespace millrace::config {

/// The values of a YAML file by their keys. A sequence of values is one text with commas between.
/// kInvalidArgument: the file cannot be read, or is no map of sections; with the line.
Result<std::vector<Given>> ReadYaml(const std::string& path);

/// A file's bytes, at most 1 MiB. kInvalidArgument: it cannot be read, or is larger.
Result<std::string> ReadWhole(const std::string& path);

}  // namespace millrace::config
