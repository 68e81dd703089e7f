#include "millrace/runtime/outbox.h"

#include <algorithm>

#include "millrace/base/facts.h"

namespace millrace::runtime {
namespace {
/// Rows are gathered in pieces of about this size.
constexpr size_t kPieceBytes = 64 << 10;
/// Of the rows in an object; the last piece may pass it.
constexpr size_t kObjectBytes = 8 << 20;
/// Rows of an object with so many that are owed stay where they are.
constexpr size_t kLargeObject = 4 << 20;

/// Past it the newest mark moves on, so that the watermark shown advances in larger steps.
constexpr size_t kMostMarks = 256;

size_t Index(Output output) { return static_cast<size_t>(output); }
}  // namespace

bool Outbox::Owes(const Piece& piece, Output output) const {
  return piece.last[Index(output)] > applied(output);
}

bool Outbox::Owes(const Piece& piece) const {
  for (int o = 1; o <= kOutputs; ++o) {
    if (Owes(piece, static_cast<Output>(o))) return true;
  }
  return false;
}

void Outbox::Push(window::OutputRows rows) {
  Piece piece;
  piece.output = rows.output;
  piece.last = rows.last;
  piece.last_file_end = rows.last_file_end;
  piece.before = rows.before;
  piece.after = rows.after;
  piece.bytes = std::make_shared<std::string>(std::move(rows.bytes));
  Add(std::move(piece));
}

void Outbox::Restore(const checkpoint::OwedRows& rows, const checkpoint::OwedObject& object) {
  Piece piece;
  piece.output = rows.output;
  piece.last = rows.last;
  piece.last_file_end = rows.last_file_end;
  piece.before = rows.before;
  piece.after = rows.after;
  piece.closed = true;
  const bool same = !pieces_.empty() && pieces_.back().object && *pieces_.back().object == object;
  piece.object =
      same ? pieces_.back().object : std::make_shared<const checkpoint::OwedObject>(object);
  piece.bytes = std::make_shared<std::string>(rows.bytes.bytes);
  Add(std::move(piece));
}

void Outbox::Append(const Piece& rows, Piece* to) {
  if (to->bytes.use_count() > 1) to->bytes = std::make_shared<std::string>(*to->bytes);
  to->bytes->append(*rows.bytes);
  for (size_t o = 1; o <= kOutputs; ++o) to->last[o] = std::max(to->last[o], rows.last[o]);
  to->last_file_end = std::max(to->last_file_end, rows.last_file_end);
  to->after = rows.after;
}

void Outbox::Add(Piece rows) {
  for (size_t o = 1; o <= kOutputs; ++o) made_[o] = std::max(made_[o], rows.last[o]);
  if (!Owes(rows)) return;
  const auto tail = std::find_if(pieces_.rbegin(), pieces_.rend(),
                                 [&](const Piece& p) { return p.output == rows.output; });
  if (tail == pieces_.rend() || tail->closed || rows.closed || tail->bytes->size() >= kPieceBytes ||
      !Continues(rows, *tail)) {
    pieces_.push_back(std::move(rows));
  } else {
    Append(rows, &*tail);
  }
  changed_.Notify();
}

/// The first piece that goes into a new object: those without one, and before them the pieces of
/// the newest objects, as long as these hold no more than what has gathered behind them.
size_t Outbox::FirstToWrite() const {
  size_t first = pieces_.size();
  size_t gathered = 0;
  while (first > 0 && !pieces_[first - 1].object) gathered += pieces_[--first].bytes->size();
  while (first > 0 && gathered > 0) {
    const auto& object = pieces_[first - 1].object;
    size_t begin = first;
    size_t owed = 0;
    for (; begin > 0 && pieces_[begin - 1].object == object; --begin)
      owed += pieces_[begin - 1].bytes->size();
    if (owed > gathered || owed >= kLargeObject) break;
    gathered += owed;
    first = begin;
  }
  return first;
}

/// Small pieces of one output, as many cuts leave behind, become larger ones.
void Outbox::MergeFrom(size_t first) {
  std::deque<Piece> merged;
  for (size_t i = first; i < pieces_.size(); ++i) {
    Piece& piece = pieces_[i];
    const auto tail = std::find_if(merged.rbegin(), merged.rend(),
                                   [&](const Piece& p) { return p.output == piece.output; });
    if (tail == merged.rend() || tail->bytes->size() + piece.bytes->size() > kPieceBytes ||
        !Continues(piece, *tail)) {
      merged.push_back(std::move(piece));
    } else {
      Append(piece, &*tail);
    }
  }
  pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(first), pieces_.end());
  for (Piece& piece : merged) {
    piece.closed = true;
    piece.object = nullptr;
    piece.number = ++numbers_;
    pieces_.push_back(std::move(piece));
  }
}

checkpoint::Owed Outbox::Owed() {
  const size_t first = FirstToWrite();
  MergeFrom(first);
  checkpoint::Owed owed;
  const checkpoint::OwedObject* last = nullptr;
  for (size_t i = 0; i < first; ++i) {
    if (pieces_[i].object.get() == last) continue;
    last = pieces_[i].object.get();
    owed.saved.push_back(*last);
  }
  size_t bytes = kObjectBytes;
  for (size_t i = first; i < pieces_.size(); ++i) {
    const Piece& piece = pieces_[i];
    if (bytes >= kObjectBytes) {
      owed.fresh.push_back({{}, piece.number, piece.number});
      bytes = 0;
    }
    owed.fresh.back().rows.push_back({piece.output,
                                      piece.last,
                                      piece.last_file_end,
                                      piece.before,
                                      piece.after,
                                      {piece.bytes, *piece.bytes}});
    owed.fresh.back().last = piece.number;
    bytes += piece.bytes->size();
  }
  return owed;
}

void Outbox::Saved(const checkpoint::NewOwed& rows, const checkpoint::OwedObject& object) {
  const auto shared = std::make_shared<const checkpoint::OwedObject>(object);
  for (Piece& piece : pieces_) {
    if (piece.number >= rows.first && piece.number <= rows.last) piece.object = shared;
  }
}

void Outbox::SetApplied(Output output, int64_t seq) {
  applied_[Index(output)] = seq;
  made_[Index(output)] = std::max(made_[Index(output)], seq);
  std::erase_if(pieces_, [&](const Piece& piece) { return !Owes(piece); });
  for (; !marks_.empty() && Serves(marks_.front().made); marks_.pop_front())
    applied_watermark_ = marks_.front().watermark;
  changed_.Notify();
}

/// Whether the serving store has these rows. Files are the object store's.
bool Outbox::Serves(const OutputSeqs& made) const {
  for (size_t o = 1; o <= kOutputs; ++o) {
    if (o != Index(Output::kFiles) && made[o] > applied_[o]) return false;
  }
  return true;
}

void Outbox::Reached(Micros watermark) {
  if (Serves(made_)) {
    applied_watermark_ = watermark;
  } else if (!marks_.empty() && (marks_.back().made == made_ || marks_.size() >= kMostMarks)) {
    marks_.back() = {watermark, made_};
  } else {
    marks_.push_back({watermark, made_});
  }
}

std::vector<OutputRow> Outbox::Next(Output output, size_t limit) const {
  std::vector<OutputRow> rows;
  for (const Piece& piece : pieces_) {
    if (!Owes(piece, output)) continue;
    for (ByteReader in(*piece.bytes); !in.done();) {
      auto decoded = DecodeRow(&in);
      MILLRACE_CHECK(decoded.ok(), "the outbox holds bytes that are no row");
      auto row = RowOf(output, std::move(*decoded));
      if (!row || row->seq <= applied(output)) continue;
      rows.push_back(std::move(*row));
      if (rows.size() == limit) return rows;
    }
  }
  return rows;
}

namespace {

/// The file rows with numbers in [first, last], out of pieces.
class PieceRows : public FileRows {
 public:
  PieceRows(std::vector<std::shared_ptr<const std::string>> pieces, int64_t first, int64_t last)
      : pieces_(std::move(pieces)), next_seq_(first), last_(last) {}

  Result<std::vector<OutputRow>> Next(size_t limit) override {
    std::vector<OutputRow> rows;
    while (rows.size() < limit && next_seq_ <= last_) {
      while (in_.done() && next_piece_ < pieces_.size()) in_ = ByteReader(*pieces_[next_piece_++]);
      if (in_.done()) return Lacks();
      MILLRACE_ASSIGN(OutputRow decoded, DecodeRow(&in_));
      auto row = RowOf(Output::kFiles, std::move(decoded));
      if (!row || row->file_end || row->seq < next_seq_) continue;
      if (row->seq != next_seq_) return Lacks();
      ++next_seq_;
      rows.push_back(std::move(*row));
    }
    return rows;
  }

 private:
  Error Lacks() const {
    return Internal("the outbox lacks rows of a result file", {{"seq", next_seq_}});
  }

  const std::vector<std::shared_ptr<const std::string>> pieces_;
  size_t next_piece_ = 0;
  ByteReader in_{std::string_view()};
  int64_t next_seq_;
  const int64_t last_;
};

}  // namespace

std::optional<Outbox::File> Outbox::NextFile() const {
  const int64_t had = applied(Output::kFiles);
  std::vector<std::shared_ptr<const std::string>> pieces;
  for (const Piece& piece : pieces_) {
    if (!Owes(piece, Output::kFiles)) continue;
    pieces.push_back(piece.bytes);
    if (piece.last_file_end <= had) continue;
    for (ByteReader in(*piece.bytes); !in.done();) {
      auto decoded = DecodeRow(&in);
      MILLRACE_CHECK(decoded.ok(), "the outbox holds bytes that are no row");
      if (!decoded->file_end || decoded->seq <= had) continue;
      File file{std::move(*decoded), 0, nullptr};
      file.first = std::max(file.end.file_first, had + 1);
      file.rows = std::make_shared<PieceRows>(std::move(pieces), file.first, file.end.seq);
      return file;
    }
  }
  return std::nullopt;
}

bool Outbox::full() const {
  size_t bytes = 0;
  bool finished = false;  // a file ends in this piece or behind it
  for (auto piece = pieces_.rbegin(); piece != pieces_.rend(); ++piece) {
    finished |= piece->last_file_end > applied(Output::kFiles);
    bool counts = finished;
    for (int o = 1; o <= kOutputs && !counts; ++o) {
      const auto output = static_cast<Output>(o);
      counts = output != Output::kFiles && Owes(*piece, output);
    }
    if (counts) bytes += piece->bytes->size();
  }
  return bytes >= max_bytes_;
}

size_t Outbox::rows_owed(Output output) const {
  return static_cast<size_t>(made(output) - applied(output));
}

}  // namespace millrace::runtime
