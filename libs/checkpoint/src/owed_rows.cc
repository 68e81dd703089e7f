#include "millrace/checkpoint/owed_rows.h"

#include <algorithm>
#include <utility>

#include "millrace/base/facts.h"

namespace millrace::checkpoint {
namespace {

constexpr std::string_view kMagic = "MRO2";

class RowsSource : public ByteSource {
 public:
  explicit RowsSource(std::vector<OwedRows> rows) : rows_(std::move(rows)), head_(kMagic) {}

  Result<std::string> Read(size_t limit) override {
    std::string piece;
    while (piece.size() < limit && Advance()) {
      std::string_view& from = head_left_.empty() ? body_left_ : head_left_;
      const std::string_view taken = from.substr(0, limit - piece.size());
      piece.append(taken);
      from.remove_prefix(taken.size());
    }
    return piece;
  }

 private:
  /// Whether something is left to give; goes on to the next rows where they are at their end.
  bool Advance() {
    while (head_left_.empty() && body_left_.empty()) {
      if (next_ == rows_.size()) return false;
      const OwedRows& rows = rows_[next_++];
      head_.clear();
      ByteWriter w(&head_);
      w.Fixed(rows.output);
      w.Fixed(rows.last);
      w.Fixed(rows.last_file_end);
      w.Fixed(rows.before);
      w.Fixed(rows.after);
      w.Varint(rows.bytes.bytes.size());
      head_left_ = head_;
      body_left_ = rows.bytes.bytes;
    }
    return true;
  }

  const std::vector<OwedRows> rows_;
  size_t next_ = 0;
  std::string head_;
  std::string_view head_left_ = kMagic;
  std::string_view body_left_;
};

}  // namespace

std::shared_ptr<ByteSource> BytesOf(std::vector<OwedRows> rows) {
  return std::make_shared<RowsSource>(std::move(rows));
}

OwedObject Describe(const Manifest& cut, const std::vector<OwedRows>& rows) {
  OwedObject owed;
  Hash128 identity;
  for (size_t i = 0; i < rows.size(); ++i) identity += Hash(rows[i].bytes.bytes, i);
  RowsSource source(rows);
  for (;;) {
    const std::string piece = source.Read(kStreamPiece).value();
    if (piece.empty()) break;
    owed.size += static_cast<int64_t>(piece.size());
    owed.crc32c = Crc32c(piece, owed.crc32c);
  }
  const std::string digits = Hex({reinterpret_cast<const char*>(&identity), sizeof identity});
  owed.object = UploadName(cut.shard, cut.epoch, cut.cut, digits, owed.crc32c, owed.size, "rows");
  return owed;
}

Task<Result<std::vector<OwedRows>>> LoadOwed(ObjectStore* objects, OwedObject object) {
  const auto bad = [&](const std::string& what) {
    return Corruption("owed rows cannot be used: " + what, {{"object", object.object}});
  };
  MILLRACE_CO_ASSIGN(const Buffer data, co_await objects->Get(object.object));
  if (static_cast<int64_t>(data.bytes.size()) != object.size || Crc32c(data.bytes) != object.crc32c)
    co_return bad("size or checksum do not match");
  ByteReader in(data.bytes);
  if (in.Raw(kMagic.size()) != kMagic) co_return bad("unknown version");
  std::vector<OwedRows> all;
  while (in.ok() && !in.done()) {
    OwedRows rows;
    rows.output = in.Fixed<Output>();
    rows.last = in.Fixed<OutputSeqs>();
    rows.last_file_end = in.Fixed<int64_t>();
    rows.before = in.Fixed<Hash128>();
    rows.after = in.Fixed<Hash128>();
    rows.bytes = {data.owner, in.Text()};
    all.push_back(std::move(rows));
  }
  if (!in.ok()) co_return bad("they do not decode");
  co_return all;
}

}  // namespace millrace::checkpoint
