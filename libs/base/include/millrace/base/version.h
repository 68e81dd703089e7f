#pragma once

#include <string_view>

namespace millrace {

/// Of the product: "0.1.0".
std::string_view Version();

}  // namespace millrace
