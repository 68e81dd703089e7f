#pragma once

#include <libpq-fe.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/model/row.h"

namespace millrace::serving_postgres {

/// Text as the database takes it. A byte that PostgreSQL cannot have in text (zero, or one that is
/// no UTF-8) stands as U+10FF00 and its value, and so does each byte of a character from there on.
std::string EscapeText(std::string_view text);
std::string UnescapeText(std::string_view text);

/// What a column of the type is declared with.
std::string_view DeclaredType(Type type);

/// A big-endian number of 1, 4 or 8 bytes.
int64_t ReadInteger(std::string_view bytes);

/// A value in the database's binary form; a numeric as text, which the statement casts. Not NULL.
std::string EncodeCell(const Value& value);
/// Of a column that was selected with ReadColumn (tables.h).
Result<Value> DecodeCell(Type type, std::string_view bytes);
/// A time for a comparison: those the database cannot have become its infinities.
Value WithinRange(Micros time);

/// The elements of one array.
class Array {
 public:
  explicit Array(Oid element) : element_(element) {}
  /// Of the type that EncodeCell writes.
  explicit Array(Type type);

  void Add(const std::optional<std::string>& bytes);
  void AddInteger(int64_t v);
  Oid type() const;
  std::string Encode() const;

 private:
  Oid element_;
  int32_t size_ = 0;
  bool nulls_ = false;
  std::string body_;
};
inline constexpr Oid kBool = 16, kBytea = 17, kInt8 = 20, kInt4 = 23, kText = 25, kFloat8 = 701,
                     kTimestamptz = 1184;

/// $1, $2, ... of a statement.
class Params {
 public:
  Params& Integer(int64_t v);
  Params& Text(std::string_view v);
  Params& Bytes(std::string_view v);
  Params& Cell(const Value& value);
  Params& Elements(const Array& array);
  size_t size() const { return types_.size(); }

  /// As PQsendQueryParams.
  int Send(PGconn* db, const std::string& sql) const;

 private:
  Params& Add(Oid type, std::string bytes);

  std::vector<Oid> types_;
  std::vector<std::string> values_;
};

}  // namespace millrace::serving_postgres
