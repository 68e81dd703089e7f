#include "millrace/runtime/outbox.h"

#include <algorithm>

namespace millrace::runtime {
namespace {
/// Rows are gathered in pieces of about this size.
constexpr size_t kPieceBytes = 64 << 10;

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
  Add({rows.output, rows.last, rows.last_file_end,
       std::make_shared<std::string>(std::move(rows.bytes))});
}

void Outbox::Restore(const checkpoint::OwedRows& rows) {
  Add({rows.output, rows.last, rows.last_file_end,
       std::make_shared<std::string>(rows.bytes.bytes)});
}

void Outbox::Add(Piece rows) {
  for (size_t o = 1; o <= kOutputs; ++o) made_[o] = std::max(made_[o], rows.last[o]);
  if (!Owes(rows)) return;
  const auto tail = std::find_if(pieces_.rbegin(), pieces_.rend(),
                                 [&](const Piece& p) { return p.output == rows.output; });
  if (tail == pieces_.rend() || tail->bytes->size() >= kPieceBytes) {
    pieces_.push_back(std::move(rows));
  } else {
    if (tail->bytes.use_count() > 1) tail->bytes = std::make_shared<std::string>(*tail->bytes);
    tail->bytes->append(*rows.bytes);
    for (size_t o = 1; o <= kOutputs; ++o) tail->last[o] = std::max(tail->last[o], rows.last[o]);
    tail->last_file_end = std::max(tail->last_file_end, rows.last_file_end);
  }
  changed_.Notify();
}

void Outbox::SetApplied(Output output, int64_t seq) {
  applied_[Index(output)] = seq;
  made_[Index(output)] = std::max(made_[Index(output)], seq);
  std::erase_if(pieces_, [&](const Piece& piece) { return !Owes(piece); });
  changed_.Notify();
}

bool Outbox::HasFinishedFile() const {
  return std::any_of(pieces_.begin(), pieces_.end(), [&](const Piece& piece) {
    return piece.last_file_end > applied(Output::kFiles);
  });
}

std::vector<OutputRow> Outbox::Next(Output output, size_t limit) const {
  std::vector<OutputRow> rows;
  const bool files = output == Output::kFiles;
  if (files && !HasFinishedFile()) return rows;
  for (const Piece& piece : pieces_) {
    if (!Owes(piece, output)) continue;
    for (ByteReader in(*piece.bytes); !in.done();) {
      auto decoded = DecodeRow(&in);
      MILLRACE_CHECK(decoded.ok(), "the outbox holds bytes that are no row");
      auto row = RowOf(output, std::move(*decoded));
      if (!row || row->seq <= applied(output)) continue;
      rows.push_back(std::move(*row));
      if (rows.back().file_end) return rows;
      if (!files && rows.size() == limit) return rows;
    }
  }
  return rows;
}

std::vector<checkpoint::OwedRows> Outbox::Owed() const {
  std::vector<checkpoint::OwedRows> owed;
  for (const Piece& piece : pieces_) {
    owed.push_back({piece.output, piece.last, piece.last_file_end, {piece.bytes, *piece.bytes}});
  }
  return owed;
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
