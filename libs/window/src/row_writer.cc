#include "row_writer.h"

#include <bit>

#include "millrace/base/check.h"

namespace millrace::window {

void WriteWindowRow(const WindowRow& row, const std::vector<OutputColumn>& columns,
                    const std::vector<Column>& values, size_t at, std::string* scratch,
                    std::string* out) {
  scratch->clear();
  ByteWriter w(scratch);
  w.Fixed(row.output);
  w.Fixed(RowFlags(row.deleted, row.gap));
  w.Varint(static_cast<uint64_t>(row.seq));
  w.Varint(static_cast<uint64_t>(row.cause.value));
  w.Varint(static_cast<uint64_t>(row.cause_row));
  w.Fixed(row.caused_at);
  w.Fixed(row.window_start);
  w.Fixed(row.window_end);
  w.Text(row.key);
  w.Varint(static_cast<uint64_t>(row.revision));
  w.Varint(static_cast<uint64_t>(row.result_seq));
  w.Varint(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (row.deleted) {
      EncodeValue(scratch, Value{columns[i].expr.type, {}});
    } else {
      AppendColumnValue(scratch, values[i], at);
    }
  }
  ByteWriter(out).Text(*scratch);
}

void AppendKeyColumns(std::string_view key, std::vector<ColumnData>* columns) {
  for (ColumnData& column : *columns) {
    const bool null = key.front() == '\0';
    key.remove_prefix(1);
    if (null) {
      column.AppendNull();
      continue;
    }
    switch (column.type()) {
      case Type::kInt: {
        uint32_t u = 0;
        std::memcpy(&u, key.data(), sizeof u);
        column.AppendInteger(static_cast<int32_t>(__builtin_bswap32(u) ^ 0x80000000u));
        key.remove_prefix(sizeof u);
        break;
      }
      case Type::kBool:
        column.AppendInteger(key.front());
        key.remove_prefix(1);
        break;
      case Type::kText: {
        const size_t zero = key.find('\0');
        if (key[zero + 1] == '\0') {
          column.AppendText(key.substr(0, zero));
          key.remove_prefix(zero + 2);
          break;
        }
        std::string text;
        size_t i = 0;
        for (; key[i] != '\0' || key[i + 1] == '\xff'; ++i) {
          text.push_back(key[i]);
          if (key[i] == '\0') ++i;
        }
        column.AppendText(text);
        key.remove_prefix(i + 2);
        break;
      }
      case Type::kDouble: {
        int64_t bits = ReadOrdered(key.data());
        if (bits < 0)
          bits = static_cast<int64_t>(~(static_cast<uint64_t>(bits) ^ (uint64_t{1} << 63)));
        column.AppendDouble(std::bit_cast<double>(bits));
        key.remove_prefix(sizeof bits);
        break;
      }
      default:
        column.AppendInteger(ReadOrdered(key.data()));
        key.remove_prefix(sizeof(int64_t));
    }
  }
}

std::pair<std::string, std::string> SliceRange(Micros start) {
  std::pair<std::string, std::string> range{"S", "S"};
  AppendOrdered(&range.first, start);
  AppendOrdered(&range.second, start + 1);
  return range;
}

std::pair<std::string, std::string> ClosedRange(Micros end) {
  std::string key = "C";
  AppendOrdered(&key, end);
  return {key, key + '\0'};
}

}  // namespace millrace::window
