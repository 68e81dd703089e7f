#include "millrace/window/shard_fold.h"

#include <algorithm>

#include "fold_state.h"
#include "millrace/base/check.h"

namespace millrace::window {

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

ShardFold::ShardFold(FoldSpec spec) : state_(std::make_unique<State>(std::move(spec))) {}
ShardFold::~ShardFold() = default;

namespace {
constexpr const char* kStillEmitting = "a fold that has not given out all that is due was used";
}

void ShardFold::Add(const EventBatch& batch) {
  MILLRACE_CHECK(!emitting(), kStillEmitting);
  state_->Add(batch);
}

bool ShardFold::emitting() const { return state_->Emitting(); }
void ShardFold::Continue() { state_->Continue(); }

void ShardFold::State::BeginRecord(Micros append_time) {
  if (spec.stream.append_times) PassTime(time.SinceLastRecord(append_time));
}

/// Forgetting walks the whole table, so it comes once an hour and not at each record.
void ShardFold::State::PassTime(Micros elapsed) {
  const Micros hours = time.logged / kForgetEvery;
  time.logged += elapsed;
  if (time.logged / kForgetEvery != hours) producers.Forget(time.logged);
}

void ShardFold::Apply(const Tick& tick) {
  MILLRACE_CHECK(!emitting(), kStillEmitting);
  State& s = *state_;
  ++s.ledger.control;
  s.BeginRecord(tick.append_time);
  const std::optional<Micros> elapsed = s.time.Accept(tick);
  if (!elapsed) {
    ++s.ledger.ignored_ticks;
    return;
  }
  s.cause = {tick.offset, 0, tick.append_time};
  if (!s.spec.stream.append_times) s.PassTime(*elapsed);
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
  MILLRACE_CHECK(!emitting(), kStillEmitting);
  State& s = *state_;
  ++s.ledger.control;
  s.BeginRecord(advance.append_time);
  s.cause = {advance.offset, 0, advance.append_time};
  const Micros before = s.time.watermark;
  s.time.watermark = std::max(before, advance.to);
  s.Emit(before, false, true);
}

void ShardFold::Skip(int64_t records, const std::vector<int64_t>& first_seqs, Epoch epoch) {
  MILLRACE_CHECK(!emitting(), kStillEmitting);
  State& s = *state_;
  s.ledger.skipped += records;
  // The rows of an unfinished file have numbers from before the gap; the file ends here.
  if (s.file.open) s.EndFile();
  std::string mixed_in;
  ByteWriter(&mixed_in).Fixed(epoch.value);
  for (int i = 1; i <= kOutputs; ++i) {
    s.seqs[i] = std::max(s.seqs[i], first_seqs[static_cast<size_t>(i)] - 1);
    s.chains[i] = HashBehind(s.chains[i], mixed_in);
  }
  s.gaps.push_back({s.time.watermark, kPlusInfinity});
}

std::vector<OutputRows> ShardFold::TakeOutput() {
  std::fill(std::begin(state_->pieces), std::end(state_->pieces), 0);
  state_->output_bytes = 0;
  return std::exchange(state_->output, {});
}
std::vector<KnownProducer> ShardFold::FindProducers(std::string_view principal,
                                                    std::string_view prefix, size_t most) const {
  std::vector<KnownProducer> found;
  state_->producers.EachWith(principal, prefix,
                             [&](std::string_view id, const ProducerState& producer) {
                               if (found.size() >= most) return false;
                               found.push_back({std::string(id), producer.End()});
                               return true;
                             });
  return found;
}

const Ledger& ShardFold::ledger() const { return state_->ledger; }
Micros ShardFold::watermark() const { return state_->time.watermark; }
Micros ShardFold::largest_event_time() const { return state_->time.largest; }
Offset ShardFold::last_tick() const { return state_->time.last_tick; }
bool ShardFold::needs_ticks() const { return !state_->slices.empty() || state_->file.open; }
int64_t ShardFold::last_seq(Output output) const { return state_->seqs[static_cast<int>(output)]; }

LastRows ShardFold::last_rows() const {
  LastRows rows;
  for (size_t i = 1; i <= kOutputs; ++i) rows[i] = {state_->seqs[i], state_->chains[i]};
  return rows;
}

size_t ShardFold::open_windows() const {
  size_t n = 0;
  state_->ForEachHeldWindow(state_->time.watermark, kPlusInfinity, [&](const Span&) { ++n; });
  return n;
}

size_t ShardFold::state_bytes() const {
  size_t n = state_->keys.bytes() + state_->producers.bytes();
  for (const auto& [start, slice] : state_->slices) n += slice.table.bytes();
  return n;
}

}  // namespace millrace::window
