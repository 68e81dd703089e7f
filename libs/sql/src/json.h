#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace {

/// A read-only JSON tree, as large as a script's parse tree gets. Absent members read as defaults.
class Json {
 public:
  enum class Kind : uint8_t {
    kNull,
    kBool,
    kNumber,
    kString,
    kArray,
    kObject,
    kTooDeep,  ///< something below the depth limit, left out
  };

  Kind kind = Kind::kNull;
  std::string text;  ///< of a string, number or bool
  std::vector<Json> items;
  std::vector<std::pair<std::string, Json>> members;

  /// The member, or a null value.
  const Json& operator[](std::string_view key) const;
  bool Has(std::string_view key) const { return (*this)[key].kind != Kind::kNull; }
  std::string_view Text(std::string_view key) const { return (*this)[key].text; }
  int64_t Integer(std::string_view key) const;
  bool Bool(std::string_view key) const { return (*this)[key].text == "true"; }
  const std::vector<Json>& Items(std::string_view key) const { return (*this)[key].items; }
};

/// Deepest nesting that is read.
inline constexpr int kMaxJsonDepth = 800;

/// Reads `text`; false if it is not JSON.
bool ReadJson(std::string_view text, Json* out);

}  // namespace millrace
