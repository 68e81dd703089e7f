#include <arrow/util/utf8.h>

#include <bit>
#include <cstring>
#include <memory>
#include <vector>

#include "block_format.h"
#include "message.h"
#include "millrace/base/facts.h"
#include "millrace/base/hash.h"
#include "millrace/block_arrow/arrow_block_codec.h"

namespace millrace::block_arrow {
namespace {

/// What a decoded batch views beside the block itself.
struct Storage {
  Buffer block;
  std::vector<std::unique_ptr<uint8_t[]>> bytes;
  std::vector<std::string_view> payload;

  uint8_t* NewBytes(size_t n) {
    return bytes.emplace_back(std::make_unique_for_overwrite<uint8_t[]>(n)).get();
  }
};

uint64_t LoadWord(const char* p) {
  uint64_t v = 0;
  std::memcpy(&v, p, sizeof v);
  return v;
}

/// Bits to bytes 0 or 1, `flip` exclusive-or'ed into each; writes up to 7 bytes past `rows`.
void ExpandBits(const uint8_t* bits, size_t rows, uint8_t flip, uint8_t* out) {
  constexpr uint64_t kOnes = 0x0101010101010101u;
  const uint64_t flips = flip * kOnes;
  for (size_t i = 0; i < rows; i += 8) {
    const uint64_t spread = (bits[i / 8] * kOnes) & 0x8040201008040201u;
    const uint64_t bytes = (((spread + 0x7f7f7f7f7f7f7f7fu) >> 7) & kOnes) ^ flips;
    std::memcpy(out + i, &bytes, sizeof bytes);
  }
}

[[gnu::noinline]] bool AnyHighBit(const char* p, size_t n) {
  uint64_t any = 0;
  size_t i = 0;
  for (; i + 8 <= n; i += 8) any |= LoadWord(p + i);
  for (; i < n; ++i) any |= static_cast<uint8_t>(p[i]) & uint64_t{0x80};
  return (any & 0x8080808080808080u) != 0;
}

// The loops below are kept out of line: behind a dozen early returns g++ takes them for cold code
// and does not make vectors of them, which costs three times as much.

[[gnu::noinline]] bool AnyOutside(const int16_t* p, size_t n, int16_t least, int16_t most) {
  int16_t low = least;
  int16_t high = most;
  for (size_t i = 0; i < n; ++i) {
    low = p[i] < low ? p[i] : low;
    high = p[i] > high ? p[i] : high;
  }
  return low < least || high > most;
}

/// Both differences are positive exactly inside the range, and wrap to negative far outside it.
[[gnu::noinline]] bool AnyTimeOutside(const int64_t* t, size_t n) {
  uint64_t signs = 0;
  for (size_t i = 0; i < n; ++i) {
    signs |= static_cast<uint64_t>(t[i]) - static_cast<uint64_t>(kMinEventTime);
    signs |= static_cast<uint64_t>(kMaxEventTime) - static_cast<uint64_t>(t[i]);
  }
  return static_cast<int64_t>(signs) < 0;
}

[[gnu::noinline]] bool AnyNegative(const int64_t* s, size_t n) {
  int64_t any = 0;
  for (size_t i = 0; i < n; ++i) any |= s[i];
  return any < 0;
}

/// Of n + 1 offsets.
[[gnu::noinline]] bool AnyFall(const int32_t* offsets, size_t n) {
  int32_t falls = 0;
  for (size_t i = 0; i < n; ++i) falls |= offsets[i + 1] < offsets[i] ? -1 : 0;
  return falls != 0;
}

/// Walks the columns of a message in order and checks each. The first failure sticks.
class Columns {
 public:
  Columns(const BatchMessage& message, size_t rows, Storage* storage)
      : message_(message), rows_(rows), storage_(storage) {}

  const char* problem() const { return problem_; }

  /// The next column, of `type`. Its view is good only if there is no problem.
  Column Next(Type type, bool not_null) {
    Column c;
    c.type = type;
    const std::string_view validity = BeginColumn();
    switch (type) {
      case Type::kInt:
        c.values = Fixed(4);
        break;
      case Type::kBool:
        c.values = Bools();
        break;
      case Type::kText:
        Text(&c);
        break;
      default:
        c.values = Fixed(8);
    }
    if (!validity.empty() && problem_ == nullptr) c.nulls = Nulls(validity);
    if (not_null && c.nulls != nullptr) Fail("a NULL in a column that is NOT NULL");
    return c;
  }

  /// A column that the block leaves out: NULL in every row. All of them share their memory.
  [[gnu::noinline]] Column Absent(Type type, bool not_null) {
    if (not_null) Fail("a NULL in a column that is NOT NULL");
    if (zeros_ == nullptr) {
      const size_t bytes = (rows_ + 1) * sizeof(int64_t);  // texts have one offset more than rows
      uint8_t* const zeros = storage_->NewBytes(bytes);
      std::memset(zeros, 0, bytes);
      uint8_t* const ones = storage_->NewBytes(rows_);
      std::memset(ones, 1, rows_);
      zeros_ = zeros;
      ones_ = ones;
    }
    return {type, zeros_, "", ones_};
  }

  const int16_t* Producers(size_t producers) {
    if (!BeginColumn().empty()) Fail("a validity bitmap where no NULL is allowed");
    const auto* p = static_cast<const int16_t*>(Fixed(2));
    if (problem_ != nullptr) return p;
    if (AnyOutside(p, rows_, -1, static_cast<int16_t>(static_cast<int>(producers) - 1)))
      Fail("a producer index out of range");
    return p;
  }

  const int64_t* Sequences() {
    if (!BeginColumn().empty()) Fail("a validity bitmap where no NULL is allowed");
    const auto* s = static_cast<const int64_t*>(Fixed(8));
    if (problem_ != nullptr) return s;
    if (AnyNegative(s, rows_)) Fail("a negative sequence");
    return s;
  }

  void CheckTimes(const int64_t* t) {
    if (problem_ == nullptr && AnyTimeOutside(t, rows_)) Fail("an event time out of range");
  }

  bool AllRead() const {
    return node_ == message_.node_count() && buffer_ == message_.buffer_count();
  }
  void Fail(const char* what) {
    if (problem_ == nullptr) problem_ = what;
  }

 private:
  /// Checks the column's length; gives its validity bitmap, empty if it has none.
  std::string_view BeginColumn() {
    if (node_ >= message_.node_count()) return Fail("fewer columns than the schema has"), "";
    const auto [length, nulls] = message_.Node(node_++);
    if (length != static_cast<int64_t>(rows_)) Fail("a column with another number of rows");
    const std::string_view validity = NextBuffer(0);
    if (!validity.empty() && validity.size() < (rows_ + 7) / 8)
      return Fail("a validity bitmap that is too short"), "";
    return validity;
  }

  std::string_view NextBuffer(size_t needed) {
    if (buffer_ >= message_.buffer_count()) return Fail("fewer buffers than the columns need"), "";
    const auto [offset, length] = message_.Buffer(buffer_++);
    const auto size = static_cast<int64_t>(message_.body.size());
    if (offset < 0 || length < 0 || offset > size || length > size - offset)
      return Fail("a buffer that is out of bounds"), "";
    if (offset % 8 != 0) return Fail("a buffer that is not at a multiple of 8 bytes"), "";
    if (static_cast<size_t>(length) < needed) return Fail("a buffer that is too short"), "";
    return message_.body.substr(static_cast<size_t>(offset), static_cast<size_t>(length));
  }

  const void* Fixed(size_t width) { return NextBuffer(rows_ * width).data(); }

  const uint8_t* Bools() {
    const std::string_view bits = NextBuffer((rows_ + 7) / 8);
    if (problem_ != nullptr) return nullptr;
    uint8_t* out = storage_->NewBytes(rows_ + 8);
    ExpandBits(reinterpret_cast<const uint8_t*>(bits.data()), rows_, 0, out);
    return out;
  }

  const uint8_t* Nulls(std::string_view validity) {
    uint8_t* out = storage_->NewBytes(rows_ + 8);
    ExpandBits(reinterpret_cast<const uint8_t*>(validity.data()), rows_, 1, out);
    uint8_t any = 0;
    for (size_t i = 0; i < rows_; ++i) any |= out[i];
    return any != 0 ? out : nullptr;
  }

  void Text(Column* c) {
    const std::string_view raw = NextBuffer((rows_ + 1) * sizeof(int32_t));
    const std::string_view text = NextBuffer(0);
    if (problem_ != nullptr) return;
    const auto* offsets = reinterpret_cast<const int32_t*>(raw.data());
    if (AnyFall(offsets, rows_) || offsets[0] < 0 ||
        static_cast<size_t>(offsets[rows_]) > text.size())
      return Fail("a text offset out of bounds");
    c->values = offsets;
    c->text = text.data();
    const char* const first = text.data() + offsets[0];
    const auto bytes = static_cast<size_t>(offsets[rows_] - offsets[0]);
    if (!AnyHighBit(first, bytes)) return;
    bool splits = false;
    for (size_t i = 0; i < rows_; ++i) {
      splits |= offsets[i] < offsets[rows_] &&
                (static_cast<uint8_t>(text[static_cast<size_t>(offsets[i])]) & 0xc0) == 0x80;
    }
    if (splits || !arrow::util::ValidateUTF8({first, bytes})) Fail("text that is not UTF-8");
  }

  const BatchMessage& message_;
  const size_t rows_;
  Storage* const storage_;
  size_t node_ = 0;
  size_t buffer_ = 0;
  const uint8_t* zeros_ = nullptr;
  const uint8_t* ones_ = nullptr;
  const char* problem_ = nullptr;
};

/// What lies between the fixed header and the body.
struct Table {
  std::string_view in_body;  ///< a bit for each declared column
  std::vector<Producer> producers;
  size_t bytes = 0;  ///< with the padding

  bool InBody(size_t column) const {
    return (static_cast<uint8_t>(in_body[column / 8]) >> (column % 8) & 1) != 0;
  }
};

/// nullptr: read; otherwise what is wrong.
const char* ReadTable(std::string_view in, size_t columns, size_t producers, Table* out) {
  ByteReader r(in);
  if (r.Varint() != columns) return "another number of columns";
  out->in_body = r.Raw(BitmapBytes(columns));
  if (!r.ok()) return "no bits of the columns";
  if (columns % 8 != 0 && static_cast<uint8_t>(out->in_body.back()) >> (columns % 8) != 0)
    return "bits beyond the columns";
  out->producers.reserve(std::min(producers, in.size() / 10));
  for (size_t i = 0; i < producers && r.ok(); ++i) {
    Producer& p = out->producers.emplace_back();
    p.principal = r.Text();
    p.id = r.Text();
    p.acked_below = r.Fixed<int64_t>();
    if (p.acked_below < 0) return "a damaged producer table";
  }
  out->bytes = RoundUp8(in.size() - r.left());
  return r.ok() && out->bytes <= in.size() ? nullptr : "a damaged producer table";
}

}  // namespace

ArrowBlockCodec::ArrowBlockCodec() { arrow::util::InitializeUTF8(); }

Result<EventBatch> ArrowBlockCodec::Decode(const StreamSpec& stream, Buffer value, Offset offset,
                                           Micros append_time) const {
  const auto bad = [&](const char* what, std::string_view column = {}) {
    const std::string text = "not a block of this stream: " + std::string(what);
    if (column.empty())
      return Corruption(text, {{"stream", stream.name}, {"offset", offset.value}});
    return Corruption(text,
                      {{"stream", stream.name}, {"offset", offset.value}, {"column", column}});
  };
  std::string_view block = value.bytes;
  if (block.size() < kFixedBytes || !block.starts_with(kMagic)) return bad("no block header");
  if (block.size() > kMaxBlockBytes) return bad("longer than blocks may be");
  ByteReader r(block.substr(kMagic.size(), sizeof(uint32_t) + sizeof(FixedHeader)));
  if (r.Fixed<uint32_t>() != Crc32c(block.substr(kChecked))) return bad("the checksum differs");
  const auto header = r.Fixed<FixedHeader>();
  if (header.version != kVersion) return bad("a version that this program does not read");
  if (header.generation != stream.generation.value)
    return bad("it was written for another stream of this topic");
  if (header.schema_id != static_cast<uint32_t>(stream.schema_id)) return bad("another schema id");
  if (header.rows == 0) return bad("no rows");
  if (header.producers > kMaxProducers) return bad("too many producers");

  Table table;
  if (const char* what =
          ReadTable(block.substr(kFixedBytes), stream.columns.size(), header.producers, &table))
    return bad(what);
  if (block.size() - kFixedBytes - table.bytes != header.body_length)
    return bad("a body of another length");

  const auto storage = std::make_shared<Storage>();
  if (reinterpret_cast<uintptr_t>(block.data()) % 8 != 0) {
    uint8_t* copy = storage->NewBytes(block.size());
    std::memcpy(copy, block.data(), block.size());
    block = {reinterpret_cast<const char*>(copy), block.size()};
  } else {
    storage->block = std::move(value);
  }
  BatchMessage message;
  if (const char* what = ReadBatchMessage(block.substr(kFixedBytes + table.bytes), &message))
    return bad(what);
  // Each row has a producer and a sequence. Before anything is allocated for the rows.
  if (message.rows != static_cast<int64_t>(header.rows) ||
      header.rows > message.body.size() / (sizeof(int16_t) + sizeof(int64_t))) {
    return bad("another number of rows");
  }

  EventBatch batch;
  batch.producers = std::move(table.producers);
  Columns columns(message, header.rows, storage.get());
  batch.columns.reserve(stream.columns.size());
  for (size_t i = 0; i < stream.columns.size(); ++i) {
    const bool is_time = i == static_cast<size_t>(stream.event_time);
    const ColumnSpec& spec = stream.columns[i];
    const bool not_null = spec.not_null || is_time;
    batch.columns.push_back(table.InBody(i) ? columns.Next(spec.type, not_null)
                                            : columns.Absent(spec.type, not_null));
    if (is_time) columns.CheckTimes(batch.columns.back().As<int64_t>());
    if (columns.problem() != nullptr) return bad(columns.problem(), spec.name);
  }
  batch.producer = columns.Producers(batch.producers.size());
  batch.sequence = columns.Sequences();
  if (stream.keep_raw) {
    const Column raw = columns.Next(Type::kText, false);
    if (columns.problem() == nullptr) {
      storage->payload.reserve(header.rows);
      for (size_t i = 0; i < header.rows; ++i)
        storage->payload.push_back(raw.IsNull(i) ? std::string_view() : raw.Text(i));
      batch.payload = storage->payload.data();
    }
  }
  if (!columns.AllRead()) columns.Fail("more columns than the schema has");
  if (columns.problem() != nullptr) return bad(columns.problem());

  if (batch.producers.empty()) batch.producer = nullptr;
  batch.schema = stream.schema();
  batch.rows = header.rows;
  batch.records.push_back(
      {offset, append_time, 0, header.rows, 0, static_cast<uint32_t>(header.producers)});
  batch.owner = storage;
  return batch;
}

}  // namespace millrace::block_arrow
