#include <algorithm>

#include "fold_state.h"
#include "millrace/base/check.h"
#include "row_writer.h"

namespace millrace::window {
namespace {

/// Groups evaluated at a time: one page of sums.
constexpr size_t kChunk = kPageSlots;
/// Bounds of a file, in rows and in bytes of the row encoding (semantics rule 10).
constexpr int64_t kFileRows = 1'000'000;
constexpr int64_t kFileBytes = 64 << 20;
/// Of a piece of output: the last row may pass it.
constexpr size_t kPieceBytes = 64 << 10;

}  // namespace

OutputRow ShardFold::State::NewRow(Output out) {
  OutputRow row;
  row.output = out;
  row.seq = ++seqs[static_cast<int>(out)];
  row.cause = cause.offset;
  row.cause_row = cause.row;
  row.caused_at = cause.append_time;
  return row;
}

/// Where the next row of an output goes. Large outputs come in pieces of a size that allocators
/// have at hand.
OutputRows& ShardFold::State::Piece(Output out) {
  size_t& piece = pieces[static_cast<size_t>(out)];
  if (piece != 0 && output[piece - 1].bytes.size() < kPieceBytes) return output[piece - 1];
  const Hash128& chain = chains[static_cast<size_t>(out)];
  output.push_back({out, {}, {}, 0, chain, chain});
  if (piece != 0) output.back().bytes.reserve(kPieceBytes + kPieceBytes / 16);
  piece = output.size();
  return output.back();
}

void ShardFold::State::Push(const OutputRow& row) {
  OutputRows& piece = Piece(row.output);
  const size_t before = piece.bytes.size();
  EncodeRow(row, &piece.bytes);
  output_bytes += piece.bytes.size() - before;
  ByteReader in(std::string_view(piece.bytes).substr(before));
  EndRow(row.output, row.seq, in.Text(), &piece);
}

/// The row of these bytes stands in the piece.
void ShardFold::State::EndRow(Output out, int64_t seq, std::string_view bytes, OutputRows* piece) {
  Hash128& chain = chains[static_cast<size_t>(out)];
  chain = ChainHash(chain, bytes);
  piece->after = chain;
  piece->last[static_cast<size_t>(out)] = seq;
}

/// Gives the length of the row.
size_t ShardFold::State::Push(const RowWriter::Row& row) {
  OutputRows& piece = Piece(row.output);
  const size_t before = piece.bytes.size();
  EndRow(row.output, row.seq, row_writer.Write(row, &piece.bytes), &piece);
  if (row.file_seq != 0) {
    piece.last[static_cast<size_t>(Output::kFiles)] = row.file_seq;
    chains[static_cast<size_t>(Output::kFiles)] = piece.after;
  }
  const size_t bytes = piece.bytes.size() - before;
  output_bytes += bytes;
  return bytes;
}

/// After a record was applied: close, expire and revise what it made due, in one order (rule 9);
/// then provisional rows and files. What does not fit into one output is left to EmitMore.
void ShardFold::State::Emit(Micros before, bool pulse, bool may_end_idle_file) {
  ApplyPending();
  const Micros now = time.watermark;
  emission.under_way = true;
  emission.before = before;
  emission.pulse = pulse;
  emission.may_end_idle_file = may_end_idle_file;
  auto& work = emission.work;
  if (now > before) {
    ForEachHeldWindow(before, now, [&](const Span& w) {
      work[w.end].window = w;
      work[w.end].closes = true;
    });
    ForEachHeldWindow(SaturatingAdd(before, -lateness), SaturatingAdd(now, -lateness),
                      [&](const Span& w) {
                        work[w.end].window = w;
                        work[w.end].expires = true;
                      });
  }
  for (const auto& [end, window] : closed) {
    if (window.pending.empty()) continue;
    const auto at = work.find(end);
    if (!pulse && (at == work.end() || !at->second.expires)) continue;
    work[end].window = window.window;
    work[end].revises = true;
  }
  if (pulse && spec.pipeline.updates) FindProvisional();
  EmitMore();
}

/// Gives out rows until nothing is due any more, or the output is full: then false.
bool ShardFold::State::EmitMore() {
  Emission& e = emission;
  for (; !e.work.empty(); e.work.erase(e.work.begin())) {
    const Work& work = e.work.begin()->second;
    if (!e.window_begun) BeginWindow(work);
    if (!EmitRows(work)) return false;
    EndWindow(work);
  }
  for (; !e.provisional.empty(); e.provisional.erase(e.provisional.begin())) {
    const Span& window = e.provisional.begin()->second;
    if (!e.window_begun) BeginProvisional(window);
    if (!EmitProvisional(window)) return false;
    e.window_begun = false;
  }
  EndEmission();
  return true;
}

void ShardFold::State::EndEmission() {
  if (emission.pulse) provisional.changed.clear();
  const Micros now = time.watermark;
  const Micros file_bound =
      SaturatingAdd(SaturatingAdd(file.interval_start, spec.pipeline.file_interval), lateness);
  if (file.open &&
      (now >= file_bound || (emission.may_end_idle_file && time.idle >= spec.pipeline.file_idle)))
    EndFile();
  if (now > emission.before) DropSlices();
  UpdateDeadline();
  emission.under_way = false;
}

/// The groups of a window: all of them, or (`all` false) those in *ids. Leaves the ids in key order
/// and, in `sources`, the tables to sum.
void ShardFold::State::Gather(const Span& window, bool all, Combiner* combiner,
                              std::vector<KeyTable::Id>* ids) {
  sources.clear();
  for (auto at = slices.lower_bound(window.start); at != slices.end() && at->first < window.end;
       ++at)
    sources.push_back(&at->second.table);
  if (all && sources.size() > 1) sources = combiner->Combine(window, slices);
  if (all) {
    AllKeys(ids);
  } else {
    keys.Sort(ids);
  }
}

/// The keys of all groups in `sources`, in order. Most of all keys: walk those in order. Few of
/// them: sort these.
void ShardFold::State::AllKeys(std::vector<KeyTable::Id>* ids) {
  const GroupTable& first = *sources.front();
  const GroupTable& last = *sources.back();
  const auto& order = keys.Ordered();
  if ((size_t{first.size()} + last.size()) * 4 > order.size()) {
    for (const KeyTable::Id id : order) {
      if (first.Has(id) || last.Has(id)) ids->push_back(id);
    }
    return;
  }
  for (uint32_t slot = 0; slot < first.size(); ++slot) ids->push_back(first.KeyAt(slot));
  for (uint32_t slot = 0; slot < last.size(); ++slot) {
    if (!first.Has(last.KeyAt(slot))) ids->push_back(last.KeyAt(slot));
  }
  keys.Sort(ids);
}

void ShardFold::State::BeginWindow(const Work& work) {
  Emission& e = emission;
  e.window_begun = true;
  BeginRows(work.window);
  const auto at = closed.find(work.window.end);
  e.standing = at == closed.end() ? nullptr : &at->second;
  const bool all = work.closes || work.expires;
  e.ids.clear();
  e.next = 0;
  if (!all) e.ids = e.standing->pending;
  if (e.standing == nullptr && work.closes && !work.expires) {
    e.standing = &closed[work.window.end];
    e.standing->window = work.window;
  }
  if (e.standing != nullptr) {
    e.standing->pending.clear();
    e.standing->dirty = true;
  }
  Gather(work.window, all, work.closes ? &close_combiner : &expire_combiner, &e.ids);
}

/// False: the output is full.
bool ShardFold::State::EmitRows(const Work& work) {
  Emission& e = emission;
  const Micros interval = spec.pipeline.file_interval;
  const Micros interval_start = (work.window.end - 1) - FloorMod(work.window.end - 1, interval);
  while (e.next < e.ids.size()) {
    if (OutputFull()) return false;
    const KeyTable::Id* const ids = &e.ids[e.next];
    const size_t n = std::min(kChunk, e.ids.size() - e.next);
    e.next += n;
    Evaluate(work.window, ids, n, &rows);
    for (size_t r = 0; r < n; ++r) {
      const KeyTable::Id key = ids[r];
      RowState fresh;
      RowState* state = &fresh;
      if (e.standing != nullptr) {
        const auto found = e.standing->rows.find(key);
        if (found != e.standing->rows.end()) state = &found->second;
      }
      if (work.closes || state->pending) EmitResult(work, interval_start, key, rows, r, state);
      if (work.expires && lateness > 0 && state->stands && !state->failed)
        FileRow(interval_start, key, *state, rows.Values(r));
      if (state == &fresh && !work.expires && (fresh.revision > 0 || fresh.failed))
        e.standing->rows.emplace(key, fresh);
    }
  }
  return true;
}

void ShardFold::State::EndWindow(const Work& work) {
  if (work.expires && emission.standing != nullptr) {
    dropped.push_back(ClosedRange(work.window.end));
    closed.erase(work.window.end);
  }
  if (work.closes) provisional.standing.erase(work.window.end);
  emission.standing = nullptr;
  emission.window_begun = false;
}

/// HAVING first; SELECT counts only where it is true.
void ShardFold::State::Evaluate(const Span& window, const KeyTable::Id* ids, size_t n,
                                GroupRows* out) {
  sources.front()->CopyTo(ids, n, &gathered);
  for (size_t i = 1; i < sources.size(); ++i) sources[i]->AddTo(ids, n, &gathered);
  gathered_keys.resize(n);
  for (size_t i = 0; i < n; ++i) gathered_keys[i] = keys.Key(ids[i]);
  for (ColumnData& c : out->group) c.Clear();
  ColumnData* column = out->group.data();
  AppendKeyColumns(&gathered_keys, key_types.size(), column);
  column += key_types.size();
  std::fill_n(column++->Extend<int64_t>(n), n, window.start);
  std::fill_n(column++->Extend<int64_t>(n), n, window.end);
  Finish(plan, gathered, n, column);
  std::vector<Column>& input = gathered_columns;
  input.clear();
  for (const ColumnData& c : out->group) input.push_back(c.View());
  out->status.assign(n, GroupRows::kHolds);
  if (having) {
    const Vec v = having->Run(input, n);
    for (size_t i = 0; i < n; ++i) {
      if (v.Error(i) != 0) {
        out->status[i] = GroupRows::kFailed;
      } else if (!v.True(i)) {
        out->status[i] = GroupRows::kWithheld;
      }
    }
  }
  out->select.clear();
  for (size_t c = 0; c < select.size(); ++c) {
    const Expr& expr = spec.pipeline.select[c].expr;
    if (expr.op == Expr::Op::kColumn) {
      out->select.push_back(input[static_cast<size_t>(expr.index)]);
      continue;
    }
    const Vec v = select[c].Run(input, n);
    for (size_t i = 0; i < n && v.errors != nullptr; ++i) {
      if (v.Error(i) == 0 || out->status[i] != GroupRows::kHolds) continue;
      out->status[i] = GroupRows::kFailed;
    }
    out->select.push_back(ToColumn(v, n, &out->storage[c]));
  }
  out->values.clear();
  AppendValueRows(out->select, n, &out->values, &out->ends);
}

void ShardFold::State::EmitResult(const Work& work, Micros interval_start, KeyTable::Id key,
                                  const GroupRows& group, size_t row, RowState* state) {
  ++ledger.due;
  state->pending = false;
  const auto status = group.status[row];
  state->failed = status == GroupRows::kFailed;
  if (status != GroupRows::kHolds && work.closes) DeleteProvisional(work.window, key);
  if (status == GroupRows::kFailed) {
    ++ledger.row_errors;
    return RowFailed(work.window, key, GroupFailure(row));
  }
  if (status == GroupRows::kWithheld && !state->stands) {
    ++ledger.withheld;
    return;
  }
  ++ledger.emitted;
  ++state->revision;
  state->stands = status == GroupRows::kHolds;
  state->result_seq = ++seqs[static_cast<int>(Output::kResults)];
  const auto values = state->stands ? group.Values(row) : std::string_view(null_values);
  // Without allowed lateness it is final at once: one row serves the table and the file.
  const int64_t file_seq = lateness == 0 ? NextFileSeq(interval_start) : 0;
  const size_t bytes = Push({Output::kResults, !state->stands, state->result_seq, keys.Key(key),
                             state->revision, 0, file_seq, values});
  if (file_seq != 0) CountFileRow(bytes);
}

void ShardFold::State::RowFailed(const Span& window, KeyTable::Id key, std::string_view detail) {
  OutputRow out = NewRow(Output::kQuarantine);
  out.is_row = true;
  out.reason = Reason::kEvaluationError;
  out.detail = detail;
  out.window_start = window.start;
  out.window_end = window.end;
  out.key = keys.Key(key);
  const auto values = DecodeKey(out.key, key_types);
  out.payload = "{";
  for (const OutputColumn& c : spec.pipeline.select) {
    if (c.group_column < 0) continue;
    out.payload += JsonQuote(c.name) + ":" +
                   ValueJson(values.value()[static_cast<size_t>(c.group_column)]) + ",";
  }
  out.payload += "\"window_start\":\"" + FormatTimestamp(window.start) + "\",\"window_end\":\"" +
                 FormatTimestamp(window.end) + "\"}";
  Push(out);
}

void ShardFold::State::DeleteProvisional(const Span& window, KeyTable::Id key) {
  const auto at = provisional.standing.find(window.end);
  if (at == provisional.standing.end() || at->second.erase(key) == 0) return;
  const int64_t seq = ++seqs[static_cast<int>(Output::kProvisional)];
  Push({Output::kProvisional, true, seq, keys.Key(key), 0, 0, 0, null_values});
}

/// At a pulse with emit = 'updates': open windows whose slices changed since the last pulse.
void ShardFold::State::FindProvisional() {
  std::erase_if(provisional.changed,
                [&](const auto& changed) { return !slices.contains(changed.first); });
  for (const auto& [start, changed] : provisional.changed) {
    const Slice& slice = slices.at(start);
    for (Span w = slice.first_window; w.start <= start; w = assigner.NextWindow(w)) {
      if (w.end > time.watermark && w.start >= spec.not_before) emission.provisional[w.end] = w;
    }
  }
}

void ShardFold::State::BeginProvisional(const Span& window) {
  Emission& e = emission;
  e.window_begun = true;
  BeginRows(window);
  e.ids.clear();
  e.next = 0;
  auto changed = provisional.changed.lower_bound(window.start);
  for (; changed != provisional.changed.end() && changed->first < window.end; ++changed)
    e.ids.insert(e.ids.end(), changed->second.begin(), changed->second.end());
  std::sort(e.ids.begin(), e.ids.end());
  e.ids.erase(std::unique(e.ids.begin(), e.ids.end()), e.ids.end());
  Gather(window, false, &close_combiner, &e.ids);
}

/// False: the output is full.
bool ShardFold::State::EmitProvisional(const Span& window) {
  Emission& e = emission;
  while (e.next < e.ids.size()) {
    if (OutputFull()) return false;
    const KeyTable::Id* const ids = &e.ids[e.next];
    const size_t n = std::min(kChunk, e.ids.size() - e.next);
    e.next += n;
    Evaluate(window, ids, n, &rows);
    for (size_t r = 0; r < n; ++r) {
      if (rows.status[r] != GroupRows::kHolds) {
        DeleteProvisional(window, ids[r]);
        continue;
      }
      provisional.standing[window.end].insert(ids[r]);
      const int64_t seq = ++seqs[static_cast<int>(Output::kProvisional)];
      Push({Output::kProvisional, false, seq, keys.Key(ids[r]), 0, 0, 0, rows.Values(r)});
    }
  }
  return true;
}

/// The number of the next file row, in a file of this interval.
int64_t ShardFold::State::NextFileSeq(Micros interval_start) {
  if (file.open && file.interval_start != interval_start) EndFile();
  const int64_t seq = ++seqs[static_cast<int>(Output::kFiles)];
  if (!file.open) file = {true, interval_start, seq, 0, 0};
  return seq;
}

void ShardFold::State::CountFileRow(size_t bytes) {
  ++file.rows;
  file.bytes += static_cast<int64_t>(bytes);
  if (file.rows >= kFileRows || file.bytes >= kFileBytes) EndFile();
}

void ShardFold::State::FileRow(Micros interval_start, KeyTable::Id key, const RowState& state,
                               std::string_view values) {
  const int64_t seq = NextFileSeq(interval_start);
  CountFileRow(Push(
      {Output::kFiles, false, seq, keys.Key(key), state.revision, state.result_seq, 0, values}));
}

void ShardFold::State::EndFile() {
  OutputRow end;
  end.output = Output::kFiles;
  end.seq = seqs[static_cast<int>(Output::kFiles)];
  end.cause = cause.offset;
  end.cause_row = cause.row;
  end.caused_at = cause.append_time;
  end.file_end = true;
  end.file_first = file.first_seq;
  end.file_interval_start = file.interval_start;
  OutputRows& piece = Piece(lateness == 0 ? Output::kResults : Output::kFiles);
  EncodeRow(end, &piece.bytes);
  piece.last[static_cast<size_t>(Output::kFiles)] = end.seq;
  piece.last_file_end = end.seq;
  file = {};
}

void ShardFold::State::DropSlices() {
  const Micros expired = SaturatingAdd(time.watermark, -lateness);
  const size_t before = slices.size();
  while (!slices.empty() && slices.begin()->second.last_window.end <= expired) {
    const auto at = slices.begin();
    const GroupTable& table = at->second.table;
    for (uint32_t slot = 0; slot < table.size(); ++slot) keys.Unref(table.KeyAt(slot));
    provisional.changed.erase(at->first);
    dropped.push_back(SliceRange(at->first));
    slices.erase(at);
  }
  if (slices.size() < before) keys.EndSpan();
  std::erase_if(gaps, [&](const Gap& gap) {
    return SaturatingAdd(gap.until, spec.pipeline.window.size + kDay) <= expired;
  });
  current = nullptr;
}

void ShardFold::State::BeginRows(const Span& window) {
  row_writer.Begin(cause.offset, cause.row, cause.append_time, window, InGap(window));
}

bool ShardFold::State::InGap(const Span& window) const {
  return std::any_of(gaps.begin(), gaps.end(), [&](const Gap& gap) {
    return window.end > gap.from && window.start <= gap.until;
  });
}

void ShardFold::State::LowerDeadline(const Slice& slice) {
  for (const Micros allowance : {Micros{0}, lateness}) {
    const Micros after =
        std::max(SaturatingAdd(time.watermark, -allowance), slice.first_window.end - 1);
    const Span w = assigner.FirstWindowEndingAfter(after);
    if (w.start <= slice.span.start) deadline = std::min(deadline, SaturatingAdd(w.end, allowance));
  }
}

void ShardFold::State::UpdateDeadline() {
  deadline = kPlusInfinity;
  for (const auto& [start, slice] : slices) LowerDeadline(slice);
  if (file.open)
    deadline = std::min(deadline, file.interval_start + spec.pipeline.file_interval + lateness);
}

/// M of rule 4: the largest end + allowed_lateness of the windows held.
Micros ShardFold::State::LargestHeldBound() const {
  Micros bound = kMinusInfinity;
  for (const auto& [start, slice] : slices)
    bound = std::max(bound, SaturatingAdd(slice.last_window.end, lateness));
  return bound;
}

}  // namespace millrace::window
