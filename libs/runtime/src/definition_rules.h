#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "millrace/base/facts.h"

namespace millrace::runtime {

/// Topics, and tables of pipelines, that are made or removed at a time: a start may find hundreds.
inline constexpr size_t kDefinitionsAtOnce = 8;

/// Whose turn it is to make or remove a topic (Turns).
inline std::string TopicTurn(const std::string& topic) { return "topic " + topic; }

/// Why a stream cannot be dropped.
inline Error StreamIsRead(const std::string& stream, const std::vector<std::string>& readers) {
  std::string names;
  for (const std::string& reader : readers) names += (names.empty() ? "" : ",") + reader;
  return Conflict("views read the stream; drop them first (DROP MATERIALIZED VIEW)",
                  {{"stream", stream}, {"views", names}});
}

}  // namespace millrace::runtime
