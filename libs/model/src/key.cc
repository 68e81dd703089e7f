#include <bit>
#include <cmath>
#include <cstring>

#include "millrace/base/check.h"
#include "millrace/model/row.h"

namespace millrace {
namespace {

/// Copies of short texts write this many bytes at once, past the text's end too.
constexpr size_t kShort = 16;
/// The longest key of a value that is no text.
constexpr size_t kMaxFixed = 1 + sizeof(int64_t);

template <typename T>
char* Put(char* to, T v) {
  std::memcpy(to, &v, sizeof v);
  return to + sizeof v;
}

char* PutOrdered(char* to, int64_t v) {
  return Put(to, __builtin_bswap64(static_cast<uint64_t>(v) ^ (uint64_t{1} << 63)));
}

/// A group column and what holds for all its rows.
struct KeyColumn {
  const Column* column;
  const char* text_end = nullptr;  ///< nullptr: read nothing past a text's end
  bool plain = false;              ///< no text holds a zero byte
};

char* WriteText(char* to, const KeyColumn& key, std::string_view s) {
  if (key.plain) {
    if (s.size() <= kShort && s.data() + kShort <= key.text_end) {
      std::memcpy(to, s.data(), kShort);
    } else {
      std::memcpy(to, s.data(), s.size());
    }
    to += s.size();
  } else {
    for (const char c : s) {
      *to++ = c;
      if (c == '\0') *to++ = '\xff';
    }
  }
  return Put(to, uint16_t{0});
}

/// Calls f with the function that writes the value of a row, which is not NULL.
template <typename F>
auto WithWriter(const KeyColumn& key, F&& f) {
  const Column c = *key.column;
  switch (c.type) {
    case Type::kInt:
      return f([c](char* to, size_t row) {
        const auto u = static_cast<uint32_t>(c.As<int32_t>()[row]);
        return Put(to, __builtin_bswap32(u ^ 0x80000000u));
      });
    case Type::kBool:
      return f([c](char* to, size_t row) { return Put(to, c.As<uint8_t>()[row]); });
    case Type::kBigint:
    case Type::kTimestamp:
      return f([c](char* to, size_t row) { return PutOrdered(to, c.As<int64_t>()[row]); });
    case Type::kDouble:
      return f([c](char* to, size_t row) {
        double d = c.As<double>()[row];
        if (d == 0) d = 0;
        if (std::isnan(d)) d = std::bit_cast<double>(uint64_t{0x7ff8000000000000});
        const auto bits = std::bit_cast<int64_t>(d);
        // Ascending doubles: positive ones order by their bits, negative ones by the complement.
        const auto flipped =
            static_cast<int64_t>(~static_cast<uint64_t>(bits) ^ (uint64_t{1} << 63));
        return PutOrdered(to, bits < 0 ? flipped : bits);
      });
    case Type::kText:
      return f([c, key](char* to, size_t row) { return WriteText(to, key, c.Text(row)); });
    case Type::kNumeric:
      break;
  }
  MILLRACE_CHECK(false, "no group key is numeric");
  return f([](char* to, size_t) { return to; });
}

template <typename F>
char* WriteTagged(char* to, const Column& column, size_t row, const F& write) {
  const bool null = column.IsNull(row);
  *to++ = null ? '\0' : '\1';
  return null ? to : write(to, row);
}

char* WriteValue(char* to, const KeyColumn& key, size_t row) {
  return WithWriter(key,
                    [&](const auto& write) { return WriteTagged(to, *key.column, row, write); });
}

size_t Bound(size_t text_bytes) { return kMaxFixed + 2 * text_bytes + 2; }

}  // namespace

void AppendKeyValue(std::string* out, const Column& column, size_t row) {
  const size_t before = out->size();
  const bool text = column.type == Type::kText && !column.IsNull(row);
  out->resize(before + Bound(text ? column.Text(row).size() : 0));
  const char* end = WriteValue(out->data() + before, {&column}, row);
  out->resize(static_cast<size_t>(end - out->data()));
}

void WriteKeys(const std::vector<Column>& columns, size_t rows, std::string* out,
               std::vector<uint32_t>* ends) {
  std::vector<KeyColumn> keys;
  size_t bound = kShort;
  for (const Column& c : columns) {
    KeyColumn& key = keys.emplace_back(KeyColumn{&c});
    size_t text_bytes = 0;
    if (c.type == Type::kText) {
      const auto* offsets = c.As<int32_t>();
      text_bytes = static_cast<size_t>(offsets[rows] - offsets[0]);
      key.text_end = c.text + offsets[rows];
      key.plain = text_bytes == 0 || std::memchr(c.text + offsets[0], 0, text_bytes) == nullptr;
    }
    bound += rows * Bound(0) + 2 * text_bytes;
  }
  if (out->size() < bound) out->resize(bound);
  ends->resize(rows);
  char* const begin = out->data();
  char* to = begin;
  if (keys.size() == 1) {
    WithWriter(keys[0], [&](const auto& write) {
      const Column column = columns[0];
      uint32_t* end = ends->data();
      for (size_t row = 0; row < rows; ++row) {
        to = WriteTagged(to, column, row, write);
        end[row] = static_cast<uint32_t>(to - begin);
      }
      return to;
    });
    return;
  }
  for (size_t row = 0; row < rows; ++row) {
    for (const KeyColumn& key : keys) to = WriteValue(to, key, row);
    (*ends)[row] = static_cast<uint32_t>(to - begin);
  }
}

Result<std::vector<Value>> DecodeKey(std::string_view key, const std::vector<Type>& types) {
  std::vector<Value> values;
  const auto bad = [] { return Corruption("group key bytes do not fit the group columns"); };
  for (const Type type : types) {
    Value v{type, {}};
    if (key.empty()) return bad();
    const bool null = key.front() == '\0';
    key.remove_prefix(1);
    if (!null) {
      const size_t width = type == Type::kInt    ? 4
                           : type == Type::kBool ? 1
                           : type == Type::kText ? 0
                                                 : 8;
      if (key.size() < width) return bad();
      if (type == Type::kText) {
        std::string text;
        size_t i = 0;
        for (;; ++i) {
          if (i + 1 >= key.size()) return bad();
          if (key[i] != '\0') {
            text.push_back(key[i]);
          } else if (key[i + 1] == '\xff') {
            text.push_back('\0');
            ++i;
          } else {
            break;
          }
        }
        key.remove_prefix(i + 2);
        v.data = std::move(text);
      } else if (type == Type::kInt) {
        uint32_t u = 0;
        std::memcpy(&u, key.data(), sizeof u);
        v.data = int64_t{static_cast<int32_t>(__builtin_bswap32(u) ^ 0x80000000u)};
      } else if (type == Type::kBool) {
        v.data = int64_t{key.front()};
      } else {
        int64_t bits = ReadOrdered(key.data());
        if (type == Type::kDouble) {
          if (bits < 0)
            bits = static_cast<int64_t>(~(static_cast<uint64_t>(bits) ^ (uint64_t{1} << 63)));
          v.data = std::bit_cast<double>(bits);
        } else {
          v.data = bits;
        }
      }
      key.remove_prefix(width);
    }
    values.push_back(std::move(v));
  }
  if (!key.empty()) return bad();
  return values;
}

std::string ServingKey(const OutputRow& row) {
  std::string key;
  AppendOrdered(&key, row.window_end);
  AppendOrdered(&key, row.window_start);
  return key + row.key;
}

}  // namespace millrace
