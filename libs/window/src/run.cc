#include <algorithm>

#include "fold_state.h"

// Rows handled many at a time. What becomes of them is what ApplyRow would do, row by row.

namespace millrace::window {

/// Rows as most are: without a defect, in a slice that exists and that open windows alone hold, and
/// making nothing due. Does with them what ApplyRow does. Returns the first row that is none, or
/// `end`.
uint32_t ShardFold::State::ApplyRun(const EventBatch& batch, const RecordSpan& record,
                                    uint32_t first, uint32_t end) {
  const StreamSpec& stream = spec.stream;
  if (stream.partitioned_by_key || !gaps.empty()) return first;
  const auto* times = batch.columns[static_cast<size_t>(stream.event_time)].As<int64_t>();
  const Micros append = stream.append_times ? record.append_time : kPlusInfinity;
  const Micros ahead = SaturatingAdd(append, stream.max_ahead);
  // The row at which a pulse is due is not one of them.
  end = static_cast<uint32_t>(
      std::min<int64_t>(end, first + kEventsPerPulse - 1 - events_since_pulse));
  if (const uint32_t done = ApplyStraightRun(batch, times, first, end, append, ahead); done > first)
    return done;
  // Copies, so that the stores of the loop leave them in registers.
  const auto* const outcome_of = outcomes.data();
  const auto* const key_of = key_ids.data();
  const auto* const producer_of = batch.producer;
  const auto* const sequence_of = batch.sequence;
  const Micros delay = stream.watermark_delay;
  const Micros due = deadline;
  const Micros logged = time.logged;
  Micros largest = time.largest;
  Micros watermark = time.watermark;
  Slice* slice = nullptr;
  int64_t duplicates = 0;
  int64_t filtered = 0;
  int64_t pairs = 0;
  uint32_t row = first;
  for (; row < end; ++row) {
    const Outcome outcome = outcome_of[row];
    const Micros t = times[row];
    if (outcome == kApart || t > ahead) break;
    const Micros heard = std::min(t, append);
    const Micros moved =
        heard > largest ? std::max(watermark, SaturatingAdd(heard, -delay)) : watermark;
    if (moved >= due) break;
    if (outcome == kTaken) {
      if (slice == nullptr || !slice->span.Holds(t)) {
        slice = FindSlice(t);
        if (slice == nullptr) break;
        Touch(slice);
      }
      if (slice->first_window.end <= moved || !slice->all_after_start) break;
    }
    if (producer_of != nullptr && producer_of[row] >= 0) {
      ProducerState& producer = *batch_producers[static_cast<size_t>(producer_of[row])];
      const auto seen = producer.Check(sequence_of[row]);
      if (seen == ProducerState::Seen::kOutOfSpan) break;
      producer.last_read = logged;
      if (seen == ProducerState::Seen::kDuplicate) {
        ++duplicates;
        continue;
      }
    }
    largest = std::max(largest, heard);
    watermark = moved;
    if (outcome == kFiltered) {
      ++filtered;
      continue;
    }
    pairs += slice->windows;
    const KeyTable::Id key = key_of[row];
    slice->pending.push_back({row, key != KeyTable::kNone ? key : InternKey(row)});
  }
  const int64_t read = row - first;
  const int64_t admitted = read - duplicates;
  if (admitted > 0) time.AdmitMany(largest, watermark);
  events_since_pulse += read;
  ledger.read += read;
  ledger.duplicate += duplicates;
  ledger.filtered += filtered;
  ledger.aggregated += admitted - filtered;
  ledger.assigned += pairs;
  ledger.taken += pairs;
  return row;
}

namespace {

/// Whether all rows are of the producer of the first and their sequences ascend one by one.
bool InSequence(const EventBatch& batch, uint32_t first, uint32_t end) {
  const int16_t producer = batch.producer[first];
  const auto sequence = static_cast<uint64_t>(batch.sequence[first]);
  int differs = 0;
  for (uint32_t row = first; row < end; ++row) differs |= batch.producer[row] ^ producer;
  uint64_t gap = 0;
  for (uint32_t row = first; row < end; ++row)
    gap |= static_cast<uint64_t>(batch.sequence[row]) ^ (sequence + (row - first));
  return producer >= 0 && differs == 0 && gap == 0;
}

std::pair<Micros, Micros> LeastAndLargest(const Micros* times, uint32_t first, uint32_t end) {
  // Four chains, which do not wait for each other.
  Micros least[4] = {times[first], times[first], times[first], times[first]};
  Micros largest[4] = {times[first], times[first], times[first], times[first]};
  uint32_t row = first;
  for (; row + 4 <= end; row += 4) {
    for (uint32_t k = 0; k < 4; ++k) {
      least[k] = std::min(least[k], times[row + k]);
      largest[k] = std::max(largest[k], times[row + k]);
    }
  }
  for (; row < end; ++row) {
    least[0] = std::min(least[0], times[row]);
    largest[0] = std::max(largest[0], times[row]);
  }
  return {std::min(std::min(least[0], least[1]), std::min(least[2], least[3])),
          std::max(std::max(largest[0], largest[1]), std::max(largest[2], largest[3]))};
}

}  // namespace

/// ApplyRun for rows that can be judged together: none apart, none a duplicate, none making
/// anything due. Returns `first` where they cannot.
uint32_t ShardFold::State::ApplyStraightRun(const EventBatch& batch, const Micros* times,
                                            uint32_t first, uint32_t end, Micros append,
                                            Micros ahead) {
  if (some_apart || first >= end) return first;
  ProducerState* producer = nullptr;
  if (batch.producer != nullptr) {
    if (!InSequence(batch, first, end)) return first;
    producer = batch_producers[static_cast<size_t>(batch.producer[first])];
    if (!producer->AllNew(batch.sequence[first], end - first)) return first;
  }
  auto [least, most] = LeastAndLargest(times, first, end);
  const auto heard = [&] { return std::max(time.largest, std::min(most, append)); };
  const auto moved = [&] {
    return heard() > time.largest
               ? std::max(time.watermark, SaturatingAdd(heard(), -spec.stream.watermark_delay))
               : time.watermark;
  };
  if (most > ahead || moved() >= deadline) return first;
  // Judged with the watermark after the run; what this finds closed is judged again row by row.
  const Micros closed_until = moved();
  const auto usable = [&](const Slice* s) {
    return s != nullptr && s->first_window.end > closed_until && s->all_after_start;
  };
  Slice* slice = FindSlice(times[first]);
  if (!usable(slice)) return first;
  const auto key_at = [&](uint32_t at) {
    const KeyTable::Id key = key_ids[at];
    return key != KeyTable::kNone ? key : InternKey(at);
  };
  uint32_t row = first;
  int64_t filtered = 0;
  int64_t pairs = 0;
  if (slice->span.Holds(least) && slice->span.Holds(most)) {
    Touch(slice);
    const size_t before = slice->pending.size();
    slice->pending.resize(before + (end - first));
    Pending* to = slice->pending.data() + before;
    if (!some_filtered) {
      for (; row < end; ++row) *to++ = {row, key_at(row)};
    } else {
      for (; row < end; ++row) {
        if (outcomes[row] == kTaken) *to++ = {row, key_at(row)};
      }
    }
    const auto taken = to - (slice->pending.data() + before);
    slice->pending.resize(before + static_cast<size_t>(taken));
    filtered = end - first - taken;
    pairs = taken * slice->windows;
  } else {
    Touch(slice);
    for (; row < end; ++row) {
      if (outcomes[row] != kTaken) {
        ++filtered;
        continue;
      }
      if (!slice->span.Holds(times[row])) {
        Slice* const other = FindSlice(times[row]);
        if (!usable(other)) break;
        slice = other;
        Touch(slice);
      }
      slice->pending.push_back({row, key_at(row)});
      pairs += slice->windows;
    }
    if (row == first) return first;
    if (row < end) most = LeastAndLargest(times, first, row).second;
  }
  const int64_t read = row - first;
  if (producer != nullptr) {
    producer->Mark(batch.sequence[first], static_cast<uint64_t>(read));
    producer->last_read = time.logged;
  }
  const Micros watermark = moved();
  time.AdmitMany(heard(), watermark);
  events_since_pulse += read;
  ledger.read += read;
  ledger.filtered += filtered;
  ledger.aggregated += read - filtered;
  ledger.assigned += pairs;
  ledger.taken += pairs;
  return row;
}

}  // namespace millrace::window
