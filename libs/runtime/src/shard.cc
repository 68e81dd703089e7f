#include "millrace/runtime/shard.h"

#include <algorithm>

#include "millrace/base/log.h"

namespace millrace::runtime {

std::string_view PhaseName(ShardPhase phase) {
  switch (phase) {
    case ShardPhase::kOpening:
      return "opening";
    case ShardPhase::kFollowing:
      return "following";
    case ShardPhase::kRunning:
      return "running";
    case ShardPhase::kWaiting:
      return "waiting";
    case ShardPhase::kHalting:
      return "halting";
    case ShardPhase::kHalted:
      return "halted";
    case ShardPhase::kStopped:
      return "stopped";
  }
  return "unknown";
}

/// So many intervals after a tick was appended another one follows, read or not.
constexpr int kUnreadTicks = 10;

namespace {

std::string LocalName(const ShardId& id, int64_t opening) {
  std::string name = id.ToString() + "@" + std::to_string(opening);
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
}

}  // namespace

Shard::Shard(ShardId id, Epoch epoch, int64_t opening, const StreamSpec& stream,
             const control::PipelineState& pipeline, Ports ports, Options options,
             control::ControlClient* control)
    : id_(std::move(id)),
      epoch_(epoch),
      local_name_(LocalName(id_, opening)),
      stream_(stream),
      pipeline_(pipeline),
      ports_(ports),
      options_(options),
      control_(control),
      telemetry_(ports.metrics, id_),
      outbox_(options.outbox_bytes) {}

Shard::~Shard() = default;

void Shard::ResetFold() {
  fold_ = std::make_unique<window::ShardFold>(window::FoldSpec{
      stream_, pipeline_.spec, id_.partition, pipeline_.not_before, options_.output_bytes});
}

namespace {

Offset LastOffset(const LogItem& item) {
  if (const auto* batch = std::get_if<EventBatch>(&item)) return batch->records.back().offset;
  if (const auto* tick = std::get_if<Tick>(&item)) return tick->offset;
  return std::get<Advance>(item).offset;
}

Offset FirstOffset(const LogItem& item) {
  if (const auto* batch = std::get_if<EventBatch>(&item)) return batch->records.front().offset;
  return LastOffset(item);
}

}  // namespace

void Shard::Step(const LogItem& item, const LogRecord* records, size_t count) {
  PassTo(FirstOffset(item));
  if (!folds() || LastOffset(item) < next_offset_) return;
  steps_to_ = Offset(LastOffset(item).value + 1);
  Fold([&] {
    MILLRACE_CHECK(FirstOffset(item) >= next_offset_,
                   "a batch reaches over the place where the shard goes on");
    if (const auto* batch = std::get_if<EventBatch>(&item)) fold_->Add(*batch);
    if (const auto* tick = std::get_if<Tick>(&item)) fold_->Apply(*tick);
    if (const auto* advance = std::get_if<Advance>(&item)) fold_->Apply(*advance);
  });
  if (!folds()) return;
  for (size_t i = 0; i < count; ++i) bytes_read_ += static_cast<int64_t>(records[i].value.size());
  remembered_.Add(records, count);
  if (end_at_takeover_) {
    const int64_t beyond = std::max<int64_t>(0, steps_to_->value - end_at_takeover_->value);
    telemetry_.Replayed(count - std::min(count, static_cast<size_t>(beyond)));
  }
  if (!fold_->emitting()) EndStep();
}

void Shard::GoOn() {
  if (!folds() || !emitting()) return;
  Fold([&] { fold_->Continue(); });
  if (folds() && !fold_->emitting()) EndStep();
}

template <typename F>
void Shard::Fold(F&& make_rows) {
  const auto begun = Executor::Current().Monotonic();
  try {
    make_rows();
    for (window::OutputRows& rows : fold_->TakeOutput()) outbox_.Push(std::move(rows));
    CheckRows();
    MILLRACE_CHECK(fold_->ledger().Balanced(), "the ledger does not balance");
  } catch (const InvariantViolation& broken) {
    Halt({std::string("a broken invariant: ") + broken.what() +
              "; report it with the log around this offset",
          "next_offset=" + std::to_string(next_offset_.value)});
  }
  busy_ += Executor::Current().Monotonic() - begun;
}

void Shard::EndStep() {
  const Offset place = *std::exchange(steps_to_, std::nullopt);
  if (fold_->last_tick() != tick_seen_) {
    tick_seen_ = fold_->last_tick();
    tick_read_ = Executor::Current().Monotonic();
  }
  PassTo(place);
}

void Shard::PassTo(Offset place) {
  if (!folds() || emitting()) return;
  ApplySkipsUpTo(place);
  if (!folds()) return;
  next_offset_ = std::max(next_offset_, place);
  CheckLogCoversSinks();
  outbox_.Reached(fold_->watermark());
}

bool Shard::BreaksIn(Offset after, Offset offset) const {
  const auto within = [&](Offset place) { return after < place && place <= offset; };
  return within(next_offset_) ||
         std::any_of(skips_.begin(), skips_.end(), [&](const control::SkipState& skip) {
           return within(skip.from) || within(skip.to);
         });
}

/// One skip may end where the next begins. Behind a pinned one the log is another, so the place
/// says nothing about it.
void Shard::ApplySkipsUpTo(Offset place) {
  while (!skips_.empty() && place >= skips_.front().from) {
    next_offset_ = std::max(next_offset_, skips_.front().from);
    if (!DecidedForThisLog(skips_.front())) return;
    ApplySkip(skips_.front());
    place = skips_.front().pinned ? next_offset_ : std::max(place, next_offset_);
    skips_.pop_front();
  }
}

/// Halts otherwise. What a pinned skip goes on from is looked at when it is restored.
bool Shard::DecidedForThisLog(const control::SkipState& skip) {
  const std::optional<RecordIdentity> last = remembered_.last();
  if (skip.pinned || !skip.before || !last || *last == *skip.before) return true;
  Halt(
      {"a skip was decided for another log: the record before its place is another one; restore "
       "the log that it was decided for",
       "record=" + std::to_string(last->offset.value) + " skip_from=" +
           std::to_string(skip.from.value) + " skip_to=" + std::to_string(skip.to.value),
       true});
  return false;
}

void Shard::ApplySkip(const control::SkipState& skip) {
  const Offset to = skip.GoesOn(next_offset_);
  LogWarn("a shard goes on past a gap", {{"shard", id_.ToString()},
                                         {"from", next_offset_.value},
                                         {"to", to.value},
                                         {"reason", skip.reason}});
  fold_->Skip(std::max<int64_t>(0, to.value - next_offset_.value), skip.first_seqs, skip.epoch);
  for (window::OutputRows& rows : fold_->TakeOutput()) outbox_.Push(std::move(rows));
  // Files that hold these numbers are there, maybe longer ones, of records that were lost since.
  constexpr auto kFiles = static_cast<size_t>(Output::kFiles);
  const int64_t put = skip.first_seqs[kFiles] - 1;
  if (outbox_.applied(Output::kFiles) < put)
    outbox_.SetApplied(Output::kFiles, {put, fold_->last_rows()[kFiles].hash});
  next_offset_ = to;
  // Behind a pinned one the log is another. What lies at `to` and above was not read in it.
  if (skip.pinned)
    remembered_.ForgetFrom(skip.before ? Offset(skip.before->offset.value + 1) : Offset(0));
}

std::optional<Tick> Shard::DueTick(Executor::Duration now) const {
  // While emitting, the fold may have taken a tick whose reading is not noted here yet.
  if (!alive() || emitting() || !stream_.ticks || !fold_->needs_ticks()) return std::nullopt;
  if (now - tick_read_ < options_.tick_interval || now - tick_sent_ < options_.tick_interval)
    return std::nullopt;
  // A reader that lags has its own tick still before it. A log that lost its end never gives it.
  if (tick_own_ >= next_offset_ && now - tick_sent_ < kUnreadTicks * options_.tick_interval)
    return std::nullopt;
  Tick tick;
  tick.previous = fold_->last_tick();
  tick.elapsed = (now - tick_read_).count();
  return tick;
}

void Shard::Halt(HaltCause cause) {
  if (muted_) return StopFollowing(cause.what + (cause.facts.empty() ? "" : " ") + cause.facts);
  // A stopped shard is of no concern any more, unless it stopped because a fence refused it. One
  // that waits meets the trouble again in its next life, if it is still there.
  if (halted() || phase_ == ShardPhase::kWaiting || (phase_ == ShardPhase::kStopped && !fenced_))
    return;
  message_ = cause.what + (cause.facts.empty() ? "" : " ") + cause.facts;
  LogError("a shard halted; see `millrace shard list`",
           {{"shard", id_.ToString()}, {"reason", message_}});
  cause_ = std::move(cause);
  phase_ = ShardPhase::kHalting;
  outbox_.changed().Notify();
}

void Shard::EndHalting() {
  if (phase_ == ShardPhase::kHalting) phase_ = ShardPhase::kHalted;
}

void Shard::AwaitEpoch(std::string why) {
  if (!alive()) return;
  message_ = std::move(why);
  phase_ = ShardPhase::kWaiting;
  outbox_.changed().Notify();
}

void Shard::Stop() {
  if (!halted()) phase_ = ShardPhase::kStopped;
  outbox_.changed().Notify();
}

}  // namespace millrace::runtime
