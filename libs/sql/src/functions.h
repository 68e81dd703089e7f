#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/model/spec.h"

namespace millrace {

/// The aggregate of this name; count stands for both of its forms.
std::optional<Aggregate> FindAggregate(std::string_view name);

/// Why a function that people know is refused, and what to write instead.
struct FunctionRefusal {
  bool not_yet = false;  ///< it will come: kConflict
  std::string what;
  std::string hint;
};

/// `name` in lower case, of a function that is no aggregate of ours; `written`: what to call it.
FunctionRefusal RefuseFunction(std::string_view name, const std::string& written);

}  // namespace millrace
