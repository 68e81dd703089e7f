#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace {

/// `did you mean "x"?` for the nearest candidate, else `fallback`.
std::string DidYouMean(std::string_view name, const std::vector<std::string>& candidates,
                       std::string_view fallback);

/// "a, b, c".
std::string Joined(const std::vector<std::string>& names);

}  // namespace millrace
