#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/time.h"

namespace millrace {

enum class Type : uint8_t {
  kInt = 1,    ///< int32_t
  kBigint,     ///< int64_t
  kDouble,     ///< double
  kText,       ///< UTF-8
  kBool,       ///< uint8_t, 0 or 1
  kTimestamp,  ///< int64_t, microseconds since the epoch, UTC
  kNumeric,    ///< __int128, numeric(38,0): results and expressions over results only
};

/// The SQL name: "int", "bigint", "double precision", "text", "boolean", "timestamptz", "numeric".
std::string_view TypeName(Type type);

__extension__ using Int128 = __int128;
__extension__ using UInt128 = unsigned __int128;

/// |x| of a numeric(38,0) is at most this.
inline constexpr Int128 kMaxNumeric =
    static_cast<Int128>(10'000'000'000'000'000'000ULL) * 10'000'000'000'000'000'000ULL - 1;
std::string FormatNumeric(Int128 v);

/// Bytes of a column's `values` in a row: of the value itself, or of the offset into the text.
size_t FixedWidth(Type type);

/// The values of one column in some rows, as read-only views; whoever gives it keeps the storage
/// alive. The place of a NULL holds some valid value of the type (text: empty or not, but in
/// bounds).
struct Column {
  Type type = Type::kInt;
  /// int32_t, int64_t, double, uint8_t or Int128 by `type`; for text: rows + 1 int32_t offsets into
  /// `text`.
  const void* values = nullptr;
  const char* text = nullptr;
  /// One byte a row, 1 = NULL; nullptr = no NULL.
  const uint8_t* nulls = nullptr;

  template <typename T>
  const T* As() const {
    return static_cast<const T*>(values);
  }
  bool IsNull(size_t row) const { return nulls != nullptr && nulls[row] != 0; }
  std::string_view Text(size_t row) const {
    const auto* o = As<int32_t>();
    return {text + o[row], static_cast<size_t>(o[row + 1] - o[row])};
  }
  /// kInt, kBigint, kTimestamp and kBool widened.
  int64_t Integer(size_t row) const;
};

/// A column that owns its values and grows row by row. Its View() is valid until the next change.
class ColumnData {
 public:
  explicit ColumnData(Type type = Type::kInt) : type_(type) { Clear(); }

  Type type() const { return type_; }
  size_t rows() const { return nulls_.size(); }
  void Clear();

  void AppendNull() { AppendNulls(1); }
  void AppendNulls(size_t rows);
  /// For kInt, kBigint, kTimestamp, kBool; the value must fit.
  void AppendInteger(int64_t v);
  void AppendDouble(double v);
  void AppendText(std::string_view v);
  void AppendNumeric(Int128 v);
  /// Appends `rows` rows for the caller to fill, 0 and not NULL until then. T is the C++ type of a
  /// type() other than text. The pointer lives until the next change.
  template <typename T>
  T* Extend(size_t rows) {
    const size_t before = fixed_.size();
    fixed_.resize(before + rows * sizeof(T));
    nulls_.resize(nulls_.size() + rows);
    return reinterpret_cast<T*>(fixed_.data() + before);
  }
  /// Makes a row NULL; what it holds stays.
  void SetNull(size_t row) {
    nulls_[row] = 1;
    any_null_ = true;
  }
  /// Row `row` of a column of the same type.
  void AppendFrom(const Column& from, size_t row);
  /// Drops the last row.
  void PopBack();

  Column View() const;
  size_t bytes() const { return fixed_.size() + text_.size() + nulls_.size(); }

 private:
  template <typename T>
  void AppendFixed(T v);

  Type type_;
  std::string fixed_;
  std::string text_;
  std::vector<uint8_t> nulls_;
  bool any_null_ = false;
};

}  // namespace millrace
