#pragma once

#include <string>
#include <string_view>

#include "millrace/model/ids.h"

namespace millrace::cli {

/// "namespace.name", or "name" in the default namespace. The first dot divides.
struct QualifiedName {
  std::string name_space = "default";
  std::string name;

  static QualifiedName Parse(std::string_view text);
  static QualifiedName Of(const Incarnation& of) { return {of.name_space, of.name}; }
  /// "name" in the default namespace, else "namespace.name".
  std::string ToString() const;
  friend bool operator==(const QualifiedName&, const QualifiedName&) = default;
};

}  // namespace millrace::cli
