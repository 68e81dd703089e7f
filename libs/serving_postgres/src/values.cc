#include "values.h"

#include <bit>
#include <cstdint>

#include "millrace/base/time.h"
#include "millrace/serving/table_shape.h"

namespace millrace::serving_postgres {
namespace {

/// Microseconds from 1970 to 2000, where PostgreSQL counts from.
constexpr int64_t kEpoch = 946'684'800'000'000;
/// The first time that PostgreSQL can have, in 4714 BC. Its last one lies behind all of ours.
constexpr int64_t kFirstTime = -211'813'488'000'000'000 + kEpoch;

template <typename T>
std::string BigEndian(T v) {
  std::string bytes(sizeof(T), '\0');
  for (size_t i = 0; i < sizeof(T); ++i)
    bytes[sizeof(T) - 1 - i] = static_cast<char>(static_cast<uint64_t>(v) >> (8 * i));
  return bytes;
}

/// Bytes of the character of valid UTF-8 that `text` begins with; 0: it begins with none.
size_t CharacterBytes(std::string_view text) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  const size_t n = first < 0x80   ? 1
                   : first < 0xC2 ? 0
                   : first < 0xE0 ? 2
                   : first < 0xF0 ? 3
                   : first < 0xF5 ? 4
                                  : 0;
  if (n == 0 || n > text.size()) return 0;
  for (size_t i = 1; i < n; ++i) {
    if ((at(i) & 0xC0) != 0x80) return 0;
  }
  // Too long a form, surrogates, and what lies behind U+10FFFF.
  if (first == 0xE0 && at(1) < 0xA0) return 0;
  if (first == 0xED && at(1) > 0x9F) return 0;
  if (first == 0xF0 && at(1) < 0x90) return 0;
  if (first == 0xF4 && at(1) > 0x8F) return 0;
  return n;
}

/// Whether these four bytes are one of U+10FF00 to U+10FFFF.
bool IsEscape(std::string_view character) {
  return character.size() >= 4 && character.substr(0, 2) == "\xf4\x8f" &&
         static_cast<unsigned char>(character[2]) >= 0xBC;
}

bool Fits(Type type, size_t bytes) {
  switch (type) {
    case Type::kBool:
      return bytes == 1;
    case Type::kInt:
      return bytes == 4;
    case Type::kBigint:
    case Type::kDouble:
    case Type::kTimestamp:
      return bytes == 8;
    default:
      return true;
  }
}

Oid OidOf(Type type) {
  switch (type) {
    case Type::kInt:
      return kInt4;
    case Type::kBigint:
      return kInt8;
    case Type::kDouble:
      return kFloat8;
    case Type::kBool:
      return kBool;
    case Type::kTimestamp:
      return kTimestamptz;
    default:
      return kText;
  }
}

}  // namespace

std::string EscapeText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    size_t n = CharacterBytes(text);
    if (n == 0 || text[0] == '\0' || IsEscape(text.substr(0, n))) {
      const auto byte = static_cast<unsigned char>(text[0]);
      out += "\xf4\x8f";
      out += static_cast<char>(0xBC + (byte >> 6));
      out += static_cast<char>(0x80 + (byte & 63));
      n = 1;
    } else {
      out += text.substr(0, n);
    }
    text.remove_prefix(n);
  }
  return out;
}

std::string UnescapeText(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    if (IsEscape(text.substr(i))) {
      const auto high = static_cast<unsigned char>(text[i + 2]) - 0xBC;
      out += static_cast<char>(high << 6 | (text[i + 3] & 63));
      i += 4;
    } else {
      out += text[i++];
    }
  }
  return out;
}

std::string_view DeclaredType(Type type) {
  switch (type) {
    case Type::kInt:
      return "integer";
    case Type::kBigint:
      return "bigint";
    case Type::kDouble:
      return "double precision";
    case Type::kBool:
      return "boolean";
    case Type::kTimestamp:
      return "timestamp with time zone";
    case Type::kNumeric:
      return "numeric(38, 0)";
    default:
      return "text COLLATE \"C\"";
  }
}

int64_t ReadInteger(std::string_view bytes) {
  uint64_t v = 0;
  for (const char c : bytes) v = v << 8 | static_cast<unsigned char>(c);
  return bytes.size() == 4 ? static_cast<int32_t>(v) : static_cast<int64_t>(v);
}

std::string EncodeCell(const Value& value) {
  switch (value.type) {
    case Type::kInt:
      return BigEndian(static_cast<int32_t>(std::get<int64_t>(value.data)));
    case Type::kBigint:
      return BigEndian(std::get<int64_t>(value.data));
    case Type::kDouble:
      return BigEndian(std::bit_cast<uint64_t>(std::get<double>(value.data)));
    case Type::kBool:
      return std::string(1, std::get<int64_t>(value.data) != 0 ? '\1' : '\0');
    case Type::kTimestamp: {
      const int64_t t = std::get<int64_t>(value.data);
      if (t == kPlusInfinity) return BigEndian(INT64_MAX);
      return BigEndian(t < INT64_MIN + kEpoch ? INT64_MIN : t - kEpoch);
    }
    case Type::kNumeric:
      return FormatNumeric(std::get<Int128>(value.data));
    default:
      return EscapeText(std::get<std::string>(value.data));
  }
}

Result<Value> DecodeCell(Type type, std::string_view bytes) {
  if (!Fits(type, bytes.size()))
    return Corruption("a column of a serving table has another type than was defined");
  switch (type) {
    case Type::kInt:
    case Type::kBigint:
    case Type::kBool:
      return Value{type, ReadInteger(bytes)};
    case Type::kDouble:
      return Value{type, std::bit_cast<double>(ReadInteger(bytes))};
    case Type::kTimestamp: {
      const int64_t t = ReadInteger(bytes);
      if (t > INT64_MAX - kEpoch) return Value{type, kPlusInfinity};
      return Value{type, t == INT64_MIN ? t : t + kEpoch};
    }
    case Type::kNumeric:
      return ParseKeyText("numeric", type, std::string(bytes));
    default:
      return Value{type, UnescapeText(bytes)};
  }
}

Value WithinRange(Micros time) {
  return {Type::kTimestamp, time < kFirstTime ? kMinusInfinity : time};
}

Array::Array(Type type) : element_(OidOf(type)) {}

void Array::Add(const std::optional<std::string>& bytes) {
  ++size_;
  if (!bytes) nulls_ = true;
  body_ += BigEndian(bytes ? static_cast<int32_t>(bytes->size()) : -1);
  if (bytes) body_ += *bytes;
}

void Array::AddInteger(int64_t v) {
  Add(element_ == kInt4 ? BigEndian(static_cast<int32_t>(v)) : BigEndian(v));
}

Oid Array::type() const {
  switch (element_) {
    case kBool:
      return 1000;
    case kBytea:
      return 1001;
    case kInt4:
      return 1007;
    case kInt8:
      return 1016;
    case kFloat8:
      return 1022;
    case kTimestamptz:
      return 1185;
    default:
      return 1009;
  }
}

std::string Array::Encode() const {
  // Dimensions, whether NULLs follow, the element type, then length and lower bound.
  return BigEndian(int32_t{1}) + BigEndian(int32_t{nulls_}) + BigEndian(element_) +
         BigEndian(size_) + BigEndian(int32_t{1}) + body_;
}

Params& Params::Add(Oid type, std::string bytes) {
  types_.push_back(type);
  values_.push_back(std::move(bytes));
  return *this;
}

Params& Params::Integer(int64_t v) { return Add(kInt8, BigEndian(v)); }
Params& Params::Text(std::string_view v) { return Add(kText, std::string(v)); }
Params& Params::Bytes(std::string_view v) { return Add(kBytea, std::string(v)); }
Params& Params::Cell(const Value& value) { return Add(OidOf(value.type), EncodeCell(value)); }
Params& Params::Elements(const Array& array) { return Add(array.type(), array.Encode()); }

int Params::Send(PGconn* db, const std::string& sql) const {
  std::vector<const char*> values;
  std::vector<int> lengths;
  for (const std::string& v : values_) {
    values.push_back(v.data());
    lengths.push_back(static_cast<int>(v.size()));
  }
  const std::vector<int> binary(values_.size(), 1);
  return PQsendQueryParams(db, sql.c_str(), static_cast<int>(values_.size()), types_.data(),
                           values.data(), lengths.data(), binary.data(), 1);
}

}  // namespace millrace::serving_postgres
