#include "millrace/runtime/outbox.h"

#include <algorithm>

#include "millrace/base/facts.h"
#include "millrace/base/planted.h"

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

template <typename F>
void Outbox::Walk(const Piece& piece, F&& f) {
  Hash128 hash = piece.before;
  for (ByteReader in(*piece.bytes); !in.done();) {
    const std::string_view bytes = in.Text();
    auto row = DecodeRow(bytes);
    MILLRACE_CHECK(in.ok() && row.ok(), "the outbox holds bytes that are no row");
    if (!row->file_end) hash = ChainHash(hash, bytes);
    if (!f(std::move(*row), hash)) return;
  }
}

void Outbox::Settle(const OutputSeqs& seqs) {
  for (size_t o = 1; o <= kOutputs; ++o) settled_[o] = std::max(settled_[o], seqs[o]);
  std::erase_if(unproved_, [&](const auto& u) { return u.second.seq <= settled_[Index(u.first)]; });
}

void Outbox::Believe(Output output, const LastRow& row) {
  const LastRow had = applied_[Index(output)];
  if (row == had) return;
  if (row.seq > settled_[Index(output)]) unproved_[output] = row;
  Compare(output, had);
  for (const Piece& piece : pieces_) Prove(piece);
  SetApplied(output, row);
}

void Outbox::Compare(Output output, const LastRow& row) {
  const auto at = unproved_.find(output);
  if (at == unproved_.end() || at->second.seq != row.seq) return;
  if (at->second.hash == row.hash || Planted("no_chain_hash")) {
    unproved_.erase(at);
  } else {
    other_ = {output, at->second, row.hash};
  }
}

void Outbox::Prove(const Piece& rows) {
  const auto doubted = unproved_.find(rows.output);
  if (doubted == unproved_.end() || rows.last[Index(rows.output)] < doubted->second.seq) return;
  const int64_t seq = doubted->second.seq;
  Walk(rows, [&](const OutputRow& row, const Hash128& hash) {
    if (row.file_end || row.seq < seq) return true;
    Compare(row.output, {row.seq, hash});
    return false;
  });
}

void Outbox::Add(Piece rows) {
  Prove(rows);
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

void Outbox::ForgetObjects() {
  for (Piece& piece : pieces_) piece.object = nullptr;
}

void Outbox::SetApplied(Output output, const LastRow& row) {
  applied_[Index(output)] = row;
  made_[Index(output)] = std::max(made_[Index(output)], row.seq);
  std::erase_if(pieces_, [&](const Piece& piece) { return !Owes(piece); });
  for (; !marks_.empty() && Serves(marks_.front().made); marks_.pop_front())
    applied_watermark_ = marks_.front().watermark;
  changed_.Notify();
}

/// Whether the serving store has these rows. Files are the object store's.
bool Outbox::Serves(const OutputSeqs& made) const {
  for (size_t o = 1; o <= kOutputs; ++o) {
    if (o != Index(Output::kFiles) && made[o] > applied_[o].seq) return false;
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

LastRows Outbox::served() const {
  LastRows rows = applied_;
  rows[Index(Output::kFiles)] = {};
  return rows;
}

Outbox::Batch Outbox::Next(size_t limit) const {
  Batch batch{served(), {}};
  for (const Piece& piece : pieces_) {
    if (batch.rows.size() >= limit) break;
    // Pieces of files serve nobody here; those of another output hold its rows alone.
    if (piece.output == Output::kFiles || !Owes(piece, piece.output)) continue;
    Walk(piece, [&](OutputRow made, const Hash128& hash) {
      auto row = RowOf(piece.output, std::move(made));
      if (!row || row->seq <= applied(piece.output)) return true;
      batch.to[Index(piece.output)] = {row->seq, hash};
      batch.rows.push_back(std::move(*row));
      return batch.rows.size() < limit;
    });
  }
  return batch;
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
    std::optional<File> file;
    Walk(piece, [&](OutputRow row, const Hash128& hash) {
      if (!row.file_end || row.seq <= had) return true;
      file.emplace(File{std::move(row), 0, hash, nullptr});
      return false;
    });
    if (!file) continue;
    file->first = std::max(file->end.file_first, had + 1);
    file->rows = std::make_shared<PieceRows>(std::move(pieces), file->first, file->end.seq);
    return file;
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
