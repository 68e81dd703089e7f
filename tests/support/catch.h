#pragma once

/// The test framework, from one place: Debian 12 has Catch2 2.13, Debian 13 has 3.7, and they
/// differ in the names of headers and of some matchers. Tests use the names that are left here.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <catch2/matchers/catch_matchers.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

namespace millrace {

using Catch::Matchers::EndsWith;
inline auto ContainsText(const std::string& text) {
  return Catch::Matchers::ContainsSubstring(text);
}

}  // namespace millrace
#else
#include <catch2/catch.hpp>

namespace millrace {

using Catch::Matchers::EndsWith;
inline auto ContainsText(const std::string& text) { return Catch::Matchers::Contains(text); }

}  // namespace millrace
#endif
