#include "message.h"

#include <cstring>

namespace millrace::block_arrow {
namespace {

template <typename T>
T Load(std::string_view bytes, size_t at) {
  T v;
  std::memcpy(&v, bytes.data() + at, sizeof v);
  return v;
}

/// A FlatBuffer table, every access of which is bounds checked (FlatBuffers internals: a table
/// begins with the distance back to its vtable, which holds the places of the fields).
class Table {
 public:
  /// The table that the offset stored at `at` points to.
  static bool Follow(std::string_view buffer, size_t at, Table* out) {
    if (at + sizeof(uint32_t) > buffer.size()) return false;
    const size_t table = at + Load<uint32_t>(buffer, at);
    if (table + sizeof(int32_t) > buffer.size()) return false;
    const int64_t vtable = static_cast<int64_t>(table) - Load<int32_t>(buffer, table);
    if (vtable < 0 || static_cast<size_t>(vtable) + 4 > buffer.size()) return false;
    const auto v = static_cast<size_t>(vtable);
    const size_t vtable_bytes = Load<uint16_t>(buffer, v);
    if (vtable_bytes < 4 || v + vtable_bytes > buffer.size()) return false;
    *out = {buffer, table, v, vtable_bytes};
    return true;
  }

  /// Position of field `i` if it is there with `width` bytes in bounds, else 0 (no field lies
  /// there).
  size_t Find(size_t i, size_t width) const {
    const size_t entry = 4 + 2 * i;
    if (entry + 2 > vtable_bytes_) return 0;
    const size_t at = Load<uint16_t>(buffer_, vtable_ + entry);
    if (at == 0 || table_ + at + width > buffer_.size()) return 0;
    return table_ + at;
  }
  template <typename T>
  T Scalar(size_t i, T absent) const {
    const size_t at = Find(i, sizeof(T));
    return at == 0 ? absent : Load<T>(buffer_, at);
  }
  bool Child(size_t i, Table* out) const {
    const size_t at = Find(i, sizeof(uint32_t));
    return at != 0 && Follow(buffer_, at, out);
  }
  bool Has(size_t i) const { return Find(i, 1) != 0; }
  /// A vector of structs of `width` bytes.
  bool Vector(size_t i, size_t width, std::string_view* out) const {
    const size_t at = Find(i, sizeof(uint32_t));
    if (at == 0) return false;
    const size_t vector = at + Load<uint32_t>(buffer_, at);
    if (vector + sizeof(uint32_t) > buffer_.size()) return false;
    const size_t count = Load<uint32_t>(buffer_, vector);
    const size_t first = vector + sizeof(uint32_t);
    if (count > (buffer_.size() - first) / width) return false;
    *out = buffer_.substr(first, count * width);
    return true;
  }

  Table() = default;

 private:
  Table(std::string_view buffer, size_t table, size_t vtable, size_t vtable_bytes)
      : buffer_(buffer), table_(table), vtable_(vtable), vtable_bytes_(vtable_bytes) {}

  std::string_view buffer_;
  size_t table_ = 0;
  size_t vtable_ = 0;
  size_t vtable_bytes_ = 0;
};

// Message.fbs and Schema.fbs of the Arrow format: field numbers and values used here.
constexpr int16_t kMetadataV5 = 4;
constexpr uint8_t kRecordBatch = 3;
enum MessageField : size_t { kVersion, kHeaderType, kHeader, kBodyLength };
enum BatchField : size_t { kLength, kNodes, kBuffers, kCompression, kVariadic };

}  // namespace

std::array<int64_t, 2> BatchMessage::Node(size_t i) const {
  return {Load<int64_t>(nodes, i * 16), Load<int64_t>(nodes, i * 16 + 8)};
}

std::array<int64_t, 2> BatchMessage::Buffer(size_t i) const {
  return {Load<int64_t>(buffers, i * 16), Load<int64_t>(buffers, i * 16 + 8)};
}

const char* ReadBatchMessage(std::string_view message, BatchMessage* out) {
  constexpr size_t kPrefix = 8;
  if (message.size() < kPrefix || Load<uint32_t>(message, 0) != 0xffffffffu)
    return "the body is not an encapsulated Arrow message";
  const auto metadata_bytes = Load<int32_t>(message, 4);
  if (metadata_bytes < 8 || metadata_bytes % 8 != 0 ||
      static_cast<size_t>(metadata_bytes) > message.size() - kPrefix) {
    return "the length of the Arrow metadata is out of bounds";
  }
  const auto metadata = message.substr(kPrefix, static_cast<size_t>(metadata_bytes));
  out->body = message.substr(kPrefix + metadata.size());
  Table root;
  Table batch;
  if (!Table::Follow(metadata, 0, &root)) return "the Arrow metadata is damaged";
  if (root.Scalar<int16_t>(kVersion, 0) != kMetadataV5 ||
      root.Scalar<uint8_t>(kHeaderType, 0) != kRecordBatch) {
    return "the Arrow message is not a record batch of format version 5";
  }
  if (root.Scalar<int64_t>(kBodyLength, 0) != static_cast<int64_t>(out->body.size()))
    return "the Arrow body has another length than its metadata says";
  if (!root.Child(kHeader, &batch)) return "the Arrow metadata is damaged";
  if (batch.Has(kCompression)) return "the Arrow record batch is compressed";
  out->rows = batch.Scalar<int64_t>(kLength, 0);
  if (!batch.Vector(kNodes, 16, &out->nodes) || !batch.Vector(kBuffers, 16, &out->buffers))
    return "the Arrow metadata is damaged";
  return nullptr;
}

}  // namespace millrace::block_arrow
