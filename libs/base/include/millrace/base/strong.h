#pragma once

#include <compare>
#include <cstdint>

namespace millrace {

/// An integer that does not mix with others. `Tag` only tells the types apart.
template <typename Tag, typename Rep = int64_t>
struct Strong {
  Rep value{};

  constexpr Strong() = default;
  constexpr explicit Strong(Rep v) : value(v) {}
  friend constexpr auto operator<=>(const Strong&, const Strong&) = default;
};

}  // namespace millrace
