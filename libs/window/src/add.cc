#include <algorithm>

#include "fold_state.h"
#include "millrace/base/check.h"
#include "millrace/base/planted.h"

namespace millrace::window {
namespace {

std::string ColumnsJson(const StreamSpec& stream, const EventBatch& batch, uint32_t row) {
  std::string json = "{";
  for (size_t i = 0; i < stream.columns.size(); ++i) {
    if (i > 0) json += ",";
    json += JsonQuote(stream.columns[i].name) + ":" + ValueJson(Value::From(batch.columns[i], row));
  }
  return json + "}";
}

}  // namespace

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
      row_errors[i] = 1;
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
  FindOutcomes(batch);
}

void ShardFold::State::FindOutcomes(const EventBatch& batch) {
  const size_t n = batch.rows;
  outcomes.resize(n);
  Outcome* const out = outcomes.data();
  some_apart = false;
  some_filtered = false;
  const auto set_apart = [&](size_t i) {
    out[i] = kApart;
    some_apart = true;
  };
  if (!where) {
    std::fill_n(out, n, kTaken);
  } else if (where_rows.stride == 1 && where_rows.nulls == nullptr &&
             where_rows.errors == nullptr) {
    const auto* const holds = static_cast<const uint8_t*>(where_rows.values);
    uint8_t all = 1;
    for (size_t i = 0; i < n; ++i) {
      const uint8_t taken = holds[i] != 0 ? 1 : 0;
      out[i] = static_cast<Outcome>(kFiltered + taken);
      all &= taken;
    }
    some_filtered = all == 0;
  } else {
    some_filtered = true;
    const Vec w = where_rows;
    for (size_t i = 0; i < n; ++i) out[i] = w.True(i) ? kTaken : kFiltered;
    for (size_t i = 0; i < n && w.errors != nullptr; ++i) {
      if (w.Error(i) != 0) set_apart(i);
    }
  }
  for (size_t i = 0; i < n && !row_errors.empty(); ++i) {
    if (row_errors[i] != 0) set_apart(i);
  }
  for (size_t i = 0; i < n && batch.defects != nullptr; ++i) {
    if (batch.defects[i] != Reason::kNone) set_apart(i);
  }
}

void ShardFold::State::Add(const EventBatch& batch) {
  // Every expression finds its columns by their index in this schema.
  MILLRACE_CHECK(batch.schema == spec.stream.schema(), "a batch of another stream's columns");
  Evaluate(batch);
  batch_producers.assign(batch.producers.size(), nullptr);
  Place at;
  if (!AddRows(batch, &at)) rest = Rest{batch, at};
}

void ShardFold::State::Continue() {
  if (emission.under_way && !EmitMore()) return;
  if (rest && AddRows(rest->batch, &rest->at)) rest.reset();
}

/// Folds the rows from *at on. False: the output is full, and *at says where to go on.
bool ShardFold::State::AddRows(const EventBatch& batch, Place* at) {
  for (; at->record < batch.records.size(); ++at->record) {
    const RecordSpan& record = batch.records[at->record];
    if (at->row <= record.first_row) {
      BeginRecord(record.append_time);
      for (uint32_t p = record.first_producer; p < record.first_producer + record.producer_count;
           ++p) {
        const Producer& producer = batch.producers[p];
        batch_producers[p] = producers.Find(producer.principal, producer.id, time.logged);
        batch_producers[p]->RaiseAckedBelow(producer.acked_below);
        batch_producers[p]->dirty = true;
      }
    }
    const uint32_t end = record.first_row + record.rows;
    for (uint32_t row = std::max(at->row, record.first_row); row < end;) {
      row = ApplyRun(batch, record, row, end);
      if (row < end) ApplyRow(batch, record, row++);
      if (OutputFull()) {
        at->row = row;
        return false;
      }
    }
  }
  ApplyPending();
  if (Planted("batch_end_is_pulse")) Emit(time.watermark, true, false);
  current = nullptr;
  keys.Collect();
  return true;
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
        return Quarantine(batch, row, Reason::kEvaluationError, EventFailure(row));
      }
      if (!where_rows.True(row)) {
        ++ledger.filtered;
        return;
      }
    }
    if (!row_errors.empty() && row_errors[row] != 0) {
      return Quarantine(batch, row, Reason::kEvaluationError, EventFailure(row));
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
    Touch(slice);
    slice->pending.push_back({row, InternKey(row)});
    return;
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
    Touch(slice);
    slice->pending.push_back({row, InternKey(row)});
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

KeyTable::Id ShardFold::State::InternKey(uint32_t row) {
  const uint32_t begin = row == 0 ? 0 : key_ends[row - 1];
  return keys.Intern({key_bytes.data() + begin, key_ends[row] - begin}, key_hashes[row]);
}

/// A slice is about to take rows.
void ShardFold::State::Touch(Slice* slice) {
  if (slice->pending.empty()) touched.push_back(slice);
  if (slice->windows > 1) {
    close_combiner.NoteUpdate(slice->span.start);
    expire_combiner.NoteUpdate(slice->span.start);
  }
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
    if (spec.pipeline.updates && !slice->pending.empty()) {
      auto& changed = provisional.changed[slice->span.start];
      for (const Pending& p : slice->pending) changed.insert(p.key);
    }
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

}  // namespace millrace::window
