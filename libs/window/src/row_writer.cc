#include "row_writer.h"

#include <bit>
#include <cstring>

namespace millrace::window {
namespace {
constexpr size_t kLine = 64;  // of the cache
constexpr size_t kAhead = 1024;
}  // namespace

void RowWriter::Begin(Offset cause, int32_t cause_row, Micros caused_at, const Span& window,
                      bool gap) {
  gap_ = gap;
  shared_.clear();
  ByteWriter w(&shared_);
  w.Varint(static_cast<uint64_t>(cause.value));
  w.Varint(static_cast<uint64_t>(cause_row));
  w.Fixed(caused_at);
  w.Fixed(window.start);
  w.Fixed(window.end);
}

std::string_view RowWriter::Write(const Row& row, std::string* out) {
  constexpr size_t kVarint = RawWriter::kMaxVarint;
  const size_t bound = 2 + 5 * kVarint + shared_.size() + row.key.size() + row.values.size();
  if (scratch_.size() < bound) scratch_.resize(bound);
  // The next rows' memory, which nobody has touched for long, on its way while they are made.
  const auto ahead = reinterpret_cast<uintptr_t>(out->data()) + out->size() + kAhead;
  for (size_t at = 0; at < bound; at += kLine)
    __builtin_prefetch(reinterpret_cast<const void*>(ahead + at), 1);
  char* const body = scratch_.data() + kVarint;
  RawWriter w(body);
  w.Fixed(row.output);
  w.Fixed(RowFlags(row.deleted, gap_));
  w.Varint(static_cast<uint64_t>(row.seq));
  w.Raw(shared_);
  w.Text(row.key);
  w.Varint(static_cast<uint64_t>(row.revision));
  w.Varint(static_cast<uint64_t>(row.output == Output::kFiles ? row.result_seq : row.file_seq));
  w.Raw(row.values);
  // The length is known last and stands right before the body, so that one append takes both.
  const auto size = static_cast<size_t>(w.at() - body);
  const size_t length_size = RawWriter::VarintSize(size);
  RawWriter(body - length_size).Varint(size);
  out->append(body - length_size, length_size + size);
  return {body, size};
}

namespace {

/// Reads the value of one group column from the front of each key: read(row, bytes behind the tag)
/// gives how many bytes it took.
template <typename F>
void EachKey(std::vector<std::string_view>* keys, ColumnData* column, size_t first, F&& read) {
  for (size_t row = 0; row < keys->size(); ++row) {
    std::string_view& key = (*keys)[row];
    const bool null = key.front() == '\0';
    key.remove_prefix(1);
    if (null) {
      column->SetNull(first + row);
    } else {
      key.remove_prefix(read(row, key));
    }
  }
}

size_t AppendKeyText(std::string_view key, ColumnData* column) {
  const size_t zero = key.find('\0');
  if (key[zero + 1] == '\0') {
    column->AppendText(key.substr(0, zero));
    return zero + 2;
  }
  std::string text;
  size_t i = 0;
  for (; key[i] != '\0' || key[i + 1] == '\xff'; ++i) {
    text.push_back(key[i]);
    if (key[i] == '\0') ++i;
  }
  column->AppendText(text);
  return i + 2;
}

int64_t OrderedDouble(int64_t bits) {
  return bits < 0 ? static_cast<int64_t>(~(static_cast<uint64_t>(bits) ^ (uint64_t{1} << 63)))
                  : bits;
}

}  // namespace

void AppendKeyColumns(std::vector<std::string_view>* keys, size_t group_columns,
                      ColumnData* columns) {
  for (ColumnData* c = columns; c != columns + group_columns; ++c) {
    const size_t first = c->rows();
    switch (c->type()) {
      case Type::kInt: {
        auto* to = c->Extend<int32_t>(keys->size());
        EachKey(keys, c, first, [&](size_t row, std::string_view key) {
          uint32_t u = 0;
          std::memcpy(&u, key.data(), sizeof u);
          to[row] = static_cast<int32_t>(__builtin_bswap32(u) ^ 0x80000000u);
          return sizeof u;
        });
        break;
      }
      case Type::kBool: {
        auto* to = c->Extend<uint8_t>(keys->size());
        EachKey(keys, c, first, [&](size_t row, std::string_view key) {
          to[row] = static_cast<uint8_t>(key.front());
          return size_t{1};
        });
        break;
      }
      case Type::kText:
        for (std::string_view& key : *keys) {
          const bool null = key.front() == '\0';
          key.remove_prefix(1);
          if (null) {
            c->AppendNull();
          } else {
            key.remove_prefix(AppendKeyText(key, c));
          }
        }
        break;
      case Type::kDouble: {
        auto* to = c->Extend<double>(keys->size());
        EachKey(keys, c, first, [&](size_t row, std::string_view key) {
          to[row] = std::bit_cast<double>(OrderedDouble(ReadOrdered(key.data())));
          return sizeof(double);
        });
        break;
      }
      default: {
        auto* to = c->Extend<int64_t>(keys->size());
        EachKey(keys, c, first, [&](size_t row, std::string_view key) {
          to[row] = ReadOrdered(key.data());
          return sizeof(int64_t);
        });
      }
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
