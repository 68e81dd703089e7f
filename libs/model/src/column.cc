#include "millrace/model/column.h"

#include <algorithm>
#include <cstring>

#include "millrace/base/check.h"

namespace millrace {

std::string_view TypeName(Type type) {
  switch (type) {
    case Type::kInt:
      return "int";
    case Type::kBigint:
      return "bigint";
    case Type::kDouble:
      return "double precision";
    case Type::kText:
      return "text";
    case Type::kBool:
      return "boolean";
    case Type::kTimestamp:
      return "timestamptz";
    case Type::kNumeric:
      return "numeric";
  }
  return "unknown";
}

size_t FixedWidth(Type type) {
  switch (type) {
    case Type::kInt:
    case Type::kText:
      return sizeof(int32_t);
    case Type::kBool:
      return sizeof(uint8_t);
    case Type::kBigint:
    case Type::kDouble:
    case Type::kTimestamp:
      return sizeof(int64_t);
    case Type::kNumeric:
      return sizeof(Int128);
  }
  return 0;
}

std::string FormatNumeric(Int128 v) {
  UInt128 u = v < 0 ? -static_cast<UInt128>(v) : static_cast<UInt128>(v);
  std::string digits;
  do {
    digits.push_back(static_cast<char>('0' + static_cast<int>(u % 10)));
    u /= 10;
  } while (u != 0);
  if (v < 0) digits.push_back('-');
  std::reverse(digits.begin(), digits.end());
  return digits;
}

int64_t Column::Integer(size_t row) const {
  switch (type) {
    case Type::kInt:
      return As<int32_t>()[row];
    case Type::kBool:
      return As<uint8_t>()[row];
    case Type::kBigint:
    case Type::kTimestamp:
      return As<int64_t>()[row];
    default:
      break;
  }
  MILLRACE_CHECK(false, "not an integer column");
  return 0;
}

void ColumnData::Clear() {
  fixed_.clear();
  text_.clear();
  nulls_.clear();
  any_null_ = false;
  if (type_ == Type::kText) AppendFixed(int32_t{0});
}

template <typename T>
void ColumnData::AppendFixed(T v) {
  fixed_.append(reinterpret_cast<const char*>(&v), sizeof v);
}

void ColumnData::AppendInteger(int64_t v) {
  switch (type_) {
    case Type::kInt:
      AppendFixed(static_cast<int32_t>(v));
      break;
    case Type::kBool:
      AppendFixed(static_cast<uint8_t>(v));
      break;
    case Type::kBigint:
    case Type::kTimestamp:
      AppendFixed(v);
      break;
    default:
      MILLRACE_CHECK(false, "not an integer column");
  }
  nulls_.push_back(0);
}

void ColumnData::AppendDouble(double v) {
  AppendFixed(v);
  nulls_.push_back(0);
}

void ColumnData::AppendText(std::string_view v) {
  text_.append(v);
  AppendFixed(static_cast<int32_t>(text_.size()));
  nulls_.push_back(0);
}

void ColumnData::AppendNumeric(Int128 v) {
  AppendFixed(v);
  nulls_.push_back(0);
}

void ColumnData::AppendNulls(size_t rows) {
  if (rows == 0) return;
  if (type_ == Type::kText) {
    for (size_t i = 0; i < rows; ++i) AppendFixed(static_cast<int32_t>(text_.size()));
  } else {
    fixed_.resize(fixed_.size() + rows * FixedWidth(type_));
  }
  nulls_.resize(nulls_.size() + rows, 1);
  any_null_ = true;
}

void ColumnData::AppendFrom(const Column& from, size_t row) {
  if (from.IsNull(row)) return AppendNull();
  switch (type_) {
    case Type::kText:
      return AppendText(from.Text(row));
    case Type::kDouble:
      return AppendDouble(from.As<double>()[row]);
    case Type::kNumeric: {
      Int128 v = 0;
      std::memcpy(&v, from.As<char>() + row * sizeof v, sizeof v);
      return AppendNumeric(v);
    }
    default:
      return AppendInteger(from.Integer(row));
  }
}

void ColumnData::PopBack() {
  fixed_.resize(fixed_.size() - FixedWidth(type_));
  nulls_.pop_back();
  if (type_ == Type::kText) {
    int32_t end = 0;
    std::memcpy(&end, fixed_.data() + fixed_.size() - sizeof end, sizeof end);
    text_.resize(static_cast<size_t>(end));
  }
}

Column ColumnData::View() const {
  return {type_, fixed_.data(), text_.data(), any_null_ ? nulls_.data() : nullptr};
}

}  // namespace millrace
