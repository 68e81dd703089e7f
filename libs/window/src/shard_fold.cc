#include "millrace/window/shard_fold.h"

#include <algorithm>

#include "fold_state.h"
#include "millrace/base/planted.h"

namespace millrace::window {
namespace {

/// Every this many events read since the last pulse there is one (semantics rule 8).
constexpr int64_t kEventsPerPulse = 10'000;

std::string ColumnsJson(const StreamSpec& stream, const EventBatch& batch, uint32_t row) {
  std::string json = "{";
  for (size_t i = 0; i < stream.columns.size(); ++i) {
    if (i > 0) json += ",";
    json += JsonQuote(stream.columns[i].name) + ":" + ValueJson(Value::From(batch.columns[i], row));
  }
  return json + "}";
}

}  // namespace

std::vector<std::pair<std::string_view, int64_t>> Ledger::Counters() const {
  return {{"read", read},
          {"duplicate", duplicate},
          {"quarantined", quarantined},
          {"filtered", filtered},
          {"before_start", before_start},
          {"late", late},
          {"aggregated", aggregated},
          {"assigned", assigned},
          {"taken", taken},
          {"too_late", too_late},
          {"before_start_pairs", before_start_pairs},
          {"accepted_late", accepted_late},
          {"due", due},
          {"emitted", emitted},
          {"withheld", withheld},
          {"row_errors", row_errors},
          {"control", control},
          {"ignored_ticks", ignored_ticks}};
}

ShardFold::State::State(FoldSpec s)
    : spec(std::move(s)),
      assigner(spec.pipeline.window),
      plan(spec.pipeline.aggregates),
      lateness(spec.pipeline.allowed_lateness),
      close_combiner(&plan),
      expire_combiner(&plan),
      gathered(plan, 0) {
  const PipelineSpec& p = spec.pipeline;
  if (p.where) where.emplace(*p.where);
  for (const auto& input : plan.inputs) {
    InputEvaluators e;
    if (input.argument) e.argument.emplace(*input.argument);
    if (input.filter) e.filter.emplace(*input.filter);
    input_evaluators.push_back(std::move(e));
  }
  for (const GroupColumn& g : p.group_by) {
    key_evaluators.emplace_back(g.expr);
    key_types.push_back(g.expr.type);
    key_storage.emplace_back(g.expr.type);
  }
  if (p.having) having.emplace(*p.having);
  for (const GroupColumn& g : p.group_by) rows.group.emplace_back(g.expr.type);
  for (int bound = 0; bound < 2; ++bound) rows.group.emplace_back(Type::kTimestamp);
  for (const AggregateSpec& a : p.aggregates) rows.group.emplace_back(a.type);
  ByteWriter(&null_values).Varint(p.select.size());
  for (const OutputColumn& c : p.select) {
    select.emplace_back(c.expr);
    rows.storage.emplace_back(c.expr.type);
    EncodeValue(&null_values, Value{c.expr.type, {}});
  }
  inputs.resize(plan.inputs.size());
  takes.resize(plan.inputs.size());
}

/// Evaluates WHERE, group keys, filters and arguments for all rows. None of it depends on what was
/// read before.
void ShardFold::State::Evaluate(const EventBatch& batch) {
  const size_t n = batch.rows;
  row_errors.clear();
  const auto note_errors = [&](const Vec& v, const Vec* filter) {
    if (v.errors == nullptr) return;
    for (size_t i = 0; i < n; ++i) {
      if (v.Error(i) == 0 || (filter != nullptr && !filter->True(i))) continue;
      if (row_errors.empty()) row_errors.resize(n, 0);
      if (row_errors[i] == 0) row_errors[i] = v.Error(i);
    }
  };
  if (where) where_rows = where->Run(batch.columns, n);
  key_columns.clear();
  for (size_t i = 0; i < key_evaluators.size(); ++i) {
    const Expr& e = spec.pipeline.group_by[i].expr;
    if (e.op == Expr::Op::kColumn) {
      key_columns.push_back(batch.columns[static_cast<size_t>(e.index)]);
      continue;
    }
    const Vec v = key_evaluators[i].Run(batch.columns, n);
    note_errors(v, nullptr);
    key_columns.push_back(ToColumn(v, n, &key_storage[i]));
  }
  for (size_t k = 0; k < inputs.size(); ++k) {
    auto& e = input_evaluators[k];
    Vec filter;
    if (e.filter) {
      filter = e.filter->Run(batch.columns, n);
      note_errors(filter, nullptr);
    }
    inputs[k] = {};
    if (e.argument) {
      inputs[k].value = e.argument->Run(batch.columns, n);
      note_errors(inputs[k].value, e.filter ? &filter : nullptr);
    }
    const Vec& v = inputs[k].value;
    if (!e.filter && v.nulls == nullptr) continue;
    takes[k].resize(n);
    for (size_t i = 0; i < n; ++i)
      takes[k][i] = (!e.filter || filter.True(i)) && !v.Null(i) ? 1 : 0;
    inputs[k].take = takes[k].data();
  }
  WriteKeys(key_columns, n, &key_bytes, &key_ends);
  key_hashes.resize(n);
  uint32_t begin = 0;
  for (size_t i = 0; i < n; ++i) {
    key_hashes[i] = HashKey({key_bytes.data() + begin, key_ends[i] - begin});
    begin = key_ends[i];
  }
  keys.Find(key_bytes, key_ends, key_hashes, &key_ids);
}

void ShardFold::State::Add(const EventBatch& batch) {
  Evaluate(batch);
  batch_producers.assign(batch.producers.size(), nullptr);
  for (const RecordSpan& record : batch.records) {
    for (uint32_t p = record.first_producer; p < record.first_producer + record.producer_count;
         ++p) {
      const Producer& producer = batch.producers[p];
      batch_producers[p] = producers.Find(producer.principal, producer.id, time.logged);
      batch_producers[p]->RaiseAckedBelow(producer.acked_below);
      batch_producers[p]->dirty = true;
    }
    for (uint32_t row = record.first_row; row < record.first_row + record.rows; ++row)
      ApplyRow(batch, record, row);
  }
  ApplyPending();
  if (Planted("batch_end_is_pulse")) Emit(time.watermark, true, false);
  current = nullptr;
  keys.Collect();
}

/// One event: count it, rules 1, 2, 3, the WHERE filter, windows; then close, expire and (at a
/// pulse) revise.
void ShardFold::State::ApplyRow(const EventBatch& batch, const RecordSpan& record, uint32_t row) {
  cause = {record.offset, static_cast<int32_t>(row - record.first_row), record.append_time};
  const Micros before = time.watermark;
  ++ledger.read;
  const bool pulse = ++events_since_pulse == kEventsPerPulse;
  const auto judge = [&] {
    if (batch.producer != nullptr && batch.producer[row] >= 0) {
      ProducerState& producer = *batch_producers[static_cast<size_t>(batch.producer[row])];
      producer.last_read = time.logged;
      const auto seen = producer.Check(batch.sequence[row]);
      if (seen == ProducerState::Seen::kDuplicate) {
        ++ledger.duplicate;
        return;
      }
      if (seen == ProducerState::Seen::kOutOfSpan) {
        return Quarantine(batch, row, Reason::kSequenceSpan,
                          "the sequence lies 65,536 or more above acked_below");
      }
    }
    if (batch.defects != nullptr && batch.defects[row] != Reason::kNone) {
      return Quarantine(batch, row, batch.defects[row],
                        batch.detail ? batch.detail[row] : std::string_view());
    }
    const StreamSpec& stream = spec.stream;
    const Micros t = batch.columns[static_cast<size_t>(stream.event_time)].As<int64_t>()[row];
    if (stream.append_times && t > SaturatingAdd(record.append_time, stream.max_ahead)) {
      return Quarantine(batch, row, Reason::kTooFarAhead,
                        "the event time is more than max_ahead past the append time");
    }
    if (stream.partitioned_by_key &&
        PartitionOf(CanonicalText(batch.columns[static_cast<size_t>(stream.partition_key)], row),
                    stream.partitions) != spec.partition) {
      return Quarantine(batch, row, Reason::kWrongPartition,
                        "the partition key belongs to another partition");
    }
    const Micros heard = stream.append_times ? std::min(t, record.append_time) : t;
    time.Admit(heard, stream.watermark_delay);
    if (!gaps.empty() && gaps.back().until == kPlusInfinity)
      gaps.back().until = std::max(heard, gaps.back().from);
    if (where) {
      if (where_rows.Error(row) != 0) {
        return Quarantine(batch, row, Reason::kEvaluationError,
                          EvalErrorText(where_rows.Error(row)));
      }
      if (!where_rows.True(row)) {
        ++ledger.filtered;
        return;
      }
    }
    if (!row_errors.empty() && row_errors[row] != 0) {
      return Quarantine(batch, row, Reason::kEvaluationError, EvalErrorText(row_errors[row]));
    }
    Assign(batch, row);
  };
  judge();
  if (pulse || time.watermark >= deadline) {
    if (pulse) events_since_pulse = 0;
    Emit(before, pulse, false);
  }
}

Slice* ShardFold::State::FindSlice(Micros t) {
  if (current != nullptr && current->span.Holds(t)) return current;
  auto at = slices.upper_bound(t);
  if (at == slices.begin()) return nullptr;
  --at;
  if (!at->second.span.Holds(t)) return nullptr;
  return current = &at->second;
}

Slice* ShardFold::State::MakeSlice(Span span) {
  Slice& slice = slices.emplace(span.start, Slice(span, &plan)).first->second;
  slice.first_window = assigner.FirstWindowOf(span);
  slice.last_window = assigner.LastWindowOf(span);
  slice.windows = assigner.Count(slice.first_window, slice.last_window);
  slice.all_after_start = slice.first_window.start >= spec.not_before;
  LowerDeadline(slice);
  return current = &slice;
}

/// Rules 7 and 11: which windows of the event take it.
void ShardFold::State::Assign(const EventBatch& batch, uint32_t row) {
  const Micros t = batch.columns[static_cast<size_t>(spec.stream.event_time)].As<int64_t>()[row];
  Slice* slice = FindSlice(t);
  if (slice != nullptr && slice->first_window.end > time.watermark && slice->all_after_start) {
    ledger.assigned += slice->windows;
    ledger.taken += slice->windows;
    ++ledger.aggregated;
    return Take(slice, row);
  }
  // Windows ascend: first those before the start, then those too late, then late but accepted, then
  // on time.
  const Span span = slice != nullptr ? slice->span : assigner.SliceOf(t);
  const Span first = assigner.FirstWindowOf(span);
  const Span last = assigner.LastWindowOf(span);
  const auto later = [](Span a, Span b) { return a.start < b.start ? b : a; };
  const Span started = later(first, assigner.FirstWindowStartingAt(spec.not_before));
  const Span open =
      later(started, assigner.FirstWindowEndingAfter(SaturatingAdd(time.watermark, -lateness)));
  const Span on_time = later(open, assigner.FirstWindowEndingAfter(time.watermark));
  const int64_t all = assigner.Count(first, last);
  const int64_t begun = assigner.Count(started, last);
  const int64_t taken = assigner.Count(open, last);
  const int64_t missed = begun - taken;
  const int64_t accepted_late = taken - assigner.Count(on_time, last);
  ledger.assigned += all;
  ledger.before_start_pairs += all - begun;
  ledger.too_late += missed;
  ledger.taken += taken;
  ledger.accepted_late += accepted_late;
  if (taken > 0) {
    ++ledger.aggregated;
    if (slice == nullptr) slice = MakeSlice(span);
    Take(slice, row);
    if (accepted_late > 0) MarkLateKey(slice, slice->pending.back().key);
  } else {
    ++(missed > 0 ? ledger.late : ledger.before_start);
  }
  if (missed > 0) {
    const Micros last_end =
        started.end + (missed - 1) * (missed > 1 ? spec.pipeline.window.slide : 0);
    Late(batch, row, missed, started.end, last_end);
  }
}

void ShardFold::State::Take(Slice* slice, uint32_t row) {
  KeyTable::Id key = key_ids[row];
  if (key == KeyTable::kNone) {
    const uint32_t begin = row == 0 ? 0 : key_ends[row - 1];
    key = keys.Intern({key_bytes.data() + begin, key_ends[row] - begin}, key_hashes[row]);
  }
  if (slice->pending.empty()) touched.push_back(slice);
  slice->pending.push_back({row, key});
  if (slice->windows > 1) {
    close_combiner.NoteUpdate(slice->span.start);
    expire_combiner.NoteUpdate(slice->span.start);
  }
  if (spec.pipeline.updates) provisional.changed[slice->span.start].insert(key);
}

/// Late but accepted: the closed windows of the slice owe a revision for this key.
void ShardFold::State::MarkLateKey(Slice* slice, KeyTable::Id key) {
  const Micros expired = SaturatingAdd(time.watermark, -lateness);
  for (Span w = slice->first_window; w.end <= time.watermark && w.start <= slice->span.start;
       w = assigner.NextWindow(w)) {
    if (w.end <= expired || w.start < spec.not_before) continue;
    ClosedWindow& window = closed[w.end];
    window.window = w;
    window.dirty = true;
    RowState& row = window.rows[key];
    if (!row.pending) window.pending.push_back(key);
    row.pending = true;
  }
}

void ShardFold::State::ApplyPending() {
  for (Slice* slice : touched) {
    added.clear();
    slice->table.Update(slice->pending, inputs, epoch, &added);
    for (const KeyTable::Id key : added) keys.Ref(key);
    slice->pending.clear();
  }
  touched.clear();
}

void ShardFold::State::Quarantine(const EventBatch& batch, uint32_t row, Reason reason,
                                  std::string_view detail) {
  ++ledger.quarantined;
  OutputRow out = NewRow(Output::kQuarantine);
  out.reason = reason;
  out.detail = detail;
  out.payload = batch.payload != nullptr && !batch.payload[row].empty()
                    ? std::string(batch.payload[row])
                    : ColumnsJson(spec.stream, batch, row);
  Push(out);
}

void ShardFold::State::Late(const EventBatch& batch, uint32_t row, int64_t missed, Micros first_end,
                            Micros last_end) {
  OutputRow out = NewRow(Output::kLate);
  out.event_time = batch.columns[static_cast<size_t>(spec.stream.event_time)].As<int64_t>()[row];
  out.missed = missed;
  out.first_missed_end = first_end;
  out.last_missed_end = last_end;
  for (const Column& c : batch.columns) out.values.push_back(Value::From(c, row));
  Push(out);
}

ShardFold::ShardFold(FoldSpec spec) : state_(std::make_unique<State>(std::move(spec))) {}
ShardFold::~ShardFold() = default;

void ShardFold::Add(const EventBatch& batch) { state_->Add(batch); }

void ShardFold::Apply(const Tick& tick) {
  State& s = *state_;
  ++s.ledger.control;
  if (!s.time.Accept(tick)) {
    ++s.ledger.ignored_ticks;
    return;
  }
  s.cause = {tick.offset, 0, tick.append_time};
  s.producers.Forget(s.time.logged);
  const Micros before = s.time.watermark;
  if (s.time.idle >= s.spec.stream.idle_timeout && !s.slices.empty()) {
    const Micros idle_watermark =
        SaturatingAdd(s.time.largest, s.time.idle - s.spec.stream.watermark_delay);
    s.time.watermark = std::max(before, std::min(idle_watermark, s.LargestHeldBound()));
  }
  s.events_since_pulse = 0;
  s.Emit(before, true, true);
}

void ShardFold::Apply(const Advance& advance) {
  State& s = *state_;
  ++s.ledger.control;
  s.cause = {advance.offset, 0, advance.append_time};
  const Micros before = s.time.watermark;
  s.time.watermark = std::max(before, advance.to);
  s.Emit(before, false, true);
}

void ShardFold::Skip(int64_t records, const std::vector<int64_t>& first_seqs) {
  State& s = *state_;
  s.ledger.skipped += records;
  // The rows of an unfinished file have numbers from before the gap; the file ends here.
  if (s.file.open) s.EndFile();
  for (int i = 1; i <= kOutputs; ++i)
    s.seqs[i] = std::max(s.seqs[i], first_seqs[static_cast<size_t>(i)] - 1);
  s.gaps.push_back({s.time.watermark, kPlusInfinity});
}

std::vector<OutputRows> ShardFold::TakeOutput() {
  std::fill(std::begin(state_->pieces), std::end(state_->pieces), 0);
  return std::exchange(state_->output, {});
}
const Ledger& ShardFold::ledger() const { return state_->ledger; }
Micros ShardFold::watermark() const { return state_->time.watermark; }
Micros ShardFold::largest_event_time() const { return state_->time.largest; }
Offset ShardFold::last_tick() const { return state_->time.last_tick; }
bool ShardFold::needs_ticks() const { return !state_->slices.empty() || state_->file.open; }
int64_t ShardFold::last_seq(Output output) const { return state_->seqs[static_cast<int>(output)]; }

size_t ShardFold::open_windows() const {
  size_t n = 0;
  state_->ForEachHeldWindow(state_->time.watermark, kPlusInfinity, [&](const Span&) { ++n; });
  return n;
}

size_t ShardFold::state_bytes() const {
  size_t n = state_->keys.bytes();
  for (const auto& [start, slice] : state_->slices) n += slice.table.bytes();
  return n;
}

}  // namespace millrace::window
