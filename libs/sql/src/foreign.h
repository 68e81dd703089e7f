#pragma once

#include <optional>
#include <string>

#include "source.h"

namespace millrace {

/// A form of another streaming system that PostgreSQL's grammar does not have.
struct ForeignForm {
  size_t offset = 0;
  std::string what;
  std::string hint;
};

/// Looks for one in the statement that holds byte `error`, where the parser stopped.
std::optional<ForeignForm> FindForeignForm(const Source& source, size_t error);

}  // namespace millrace
