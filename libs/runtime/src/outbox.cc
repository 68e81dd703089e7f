#include "millrace/runtime/outbox.h"

#include <algorithm>

namespace millrace::runtime {
namespace {
/// Rows are gathered in chunks of about this size.
constexpr size_t kChunkBytes = 256 << 10;
}  // namespace

void Outbox::Push(window::OutputRows rows) {
  // End marks alone follow the rows that they end.
  const bool marks = rows.first_seq == 0;
  const int64_t made = queue(rows.output).made;
  Add(rows.output, marks ? made : rows.first_seq, marks ? made : rows.last_seq,
      std::move(rows.bytes), rows.last_file_end);
}

void Outbox::Restore(const checkpoint::OwedRows& rows) {
  int64_t file_end = 0;
  for (ByteReader in(rows.bytes.bytes); rows.output == Output::kFiles && !in.done();) {
    const auto row = DecodeRow(&in);
    MILLRACE_CHECK(row.ok(), "the outbox holds bytes that are no row");
    if (row->file_end) file_end = row->seq;
  }
  Add(rows.output, rows.first_seq, rows.last_seq, std::string(rows.bytes.bytes), file_end);
}

void Outbox::Add(Output output, int64_t first, int64_t last, std::string bytes, int64_t file_end) {
  Queue& q = queue(output);
  q.made = std::max(q.made, last);
  if (last <= q.applied) return;
  if (file_end != 0) q.finished = file_end;
  q.bytes += bytes.size();
  if (!q.chunks.empty() && q.chunks.back().bytes->size() < kChunkBytes) {
    Chunk& back = q.chunks.back();
    if (back.bytes.use_count() > 1) back.bytes = std::make_shared<std::string>(*back.bytes);
    back.bytes->append(bytes);
    back.last = last;
  } else {
    q.chunks.push_back({first, last, std::make_shared<std::string>(std::move(bytes))});
  }
  changed_.Notify();
}

void Outbox::SetApplied(Output output, int64_t seq) {
  Queue& q = queue(output);
  q.applied = seq;
  q.made = std::max(q.made, seq);
  while (!q.chunks.empty() && q.chunks.front().last <= seq) {
    q.bytes -= q.chunks.front().bytes->size();
    q.chunks.pop_front();
  }
  changed_.Notify();
}

std::vector<OutputRow> Outbox::Next(Output output, size_t limit) const {
  const Queue& q = queue(output);
  std::vector<OutputRow> rows;
  if (output == Output::kFiles && q.finished <= q.applied) return rows;
  for (const Chunk& chunk : q.chunks) {
    for (ByteReader in(*chunk.bytes); !in.done();) {
      auto row = DecodeRow(&in);
      MILLRACE_CHECK(row.ok(), "the outbox holds bytes that are no row");
      if (row->seq <= q.applied) continue;
      rows.push_back(std::move(*row));
      if (rows.back().file_end) return rows;
      if (output != Output::kFiles && rows.size() == limit) return rows;
    }
  }
  return rows;
}

std::vector<checkpoint::OwedRows> Outbox::Owed() const {
  std::vector<checkpoint::OwedRows> owed;
  for (int o = 1; o <= kOutputs; ++o) {
    for (const Chunk& chunk : queues_[static_cast<size_t>(o)].chunks) {
      owed.push_back(
          {static_cast<Output>(o), chunk.first, chunk.last, {chunk.bytes, *chunk.bytes}});
    }
  }
  return owed;
}

bool Outbox::full() const {
  size_t bytes = 0;
  for (int o = 1; o <= kOutputs; ++o) {
    const Queue& q = queues_[static_cast<size_t>(o)];
    if (static_cast<Output>(o) == Output::kFiles && q.finished <= q.applied) continue;
    bytes += q.bytes;
  }
  return bytes >= max_bytes_;
}

size_t Outbox::rows_owed(Output output) const {
  const Queue& q = queue(output);
  return static_cast<size_t>(q.made - q.applied);
}

}  // namespace millrace::runtime
