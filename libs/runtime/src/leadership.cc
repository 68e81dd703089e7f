#include "millrace/runtime/leadership.h"

#include <algorithm>
#include <array>

#include "millrace/base/crash_point.h"
#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/base/planted.h"
#include "millrace/control/leader_watch.h"

namespace millrace::runtime {
namespace {

constexpr auto kRound = std::chrono::seconds(1);
/// Rounds beyond the silent ones: 0, 1 or 2.
constexpr uint64_t kSpareRounds = 3;
/// A leader that was not heard for so long may be followed by another.
constexpr Micros kLease = 10'000'000;

}  // namespace

Task<Status> Leadership::WaitForTurn() {
  if (beat_ == Executor::Duration(0)) co_return Status();
  Executor& executor = Executor::Current();
  control::LeaderWatch watch(static_cast<int>(executor.Random() % kSpareRounds));
  while (!stopped_) {
    const Status read = co_await log_->CatchUp();
    const control::LeaderState before = log_->fold().leader();
    if (read.ok() && predecessor_ != 0 && before.process.instance == predecessor_)
      co_return Status();
    const bool deaf = deaf_ != nullptr && deaf_(before.n);
    if (watch.Round(before, executor.Monotonic(), read.ok(), deaf)) {
      // What the leader wrote since the last round may be on its way.
      const Status again = co_await log_->CatchUp();
      const control::LeaderState& now = log_->fold().leader();
      const bool same = now.n == before.n && (now.k == before.k || watch.leader_is_deaf());
      if (again.ok() && same) {
        if (watch.leader_is_deaf())
          LogWarn("the leader does not answer the workers, so this process takes its place",
                  {{"leader", now.process.name}, {"number", now.n}});
        co_return Status();
      }
    }
    co_await Delay(kRound);
  }
  co_return Unavailable("the process stops");
}

Task<Status> Leadership::Claim() {
  const control::Fold& fold = log_->fold();
  const int64_t number = fold.leader().n + 1;
  std::string cluster = fold.cluster();
  if (cluster.empty()) {
    Executor& executor = Executor::Current();
    const std::array<uint64_t, 2> random = {executor.Random(), executor.Random()};
    cluster = Hex({reinterpret_cast<const char*>(random.data()), sizeof random});
  }
  control::Record claim = control::Claim{number, std::move(cluster), self_};
  MILLRACE_CO_ASSIGN(const control::Verdict verdict, co_await writer_->Write(std::move(claim)));
  if (verdict != control::Verdict::kValid) {
    co_return Conflict("another process claimed the leadership first",
                       {{"leader", log_->fold().leader().process.name}});
  }
  number_ = number;
  count_ = 0;
  co_return Status();
}

Error Leadership::NotLeader(const std::string& what) const {
  const control::LeaderState& leader = log_->fold().leader();
  // Between two claims, or with a claim of this process that it has not read yet.
  if (leader.n == 0 || leader.left || leader.n == number_)
    return Unavailable("nobody leads at the moment, so nobody can " + what + "; try again");
  return Fenced("another process leads: ask that one to " + what,
                  {{"leader", leader.process.name}});
}

Task<Result<control::Verdict>> Leadership::Append(control::Record record) {
  const auto deadline = Executor::Current().Monotonic() + control::ControlReader::kDeadline;
  do {
    const int64_t k = ++count_;
    *control::StampOf(&record) = {Planted("fold_number") ? log_->fold().leader().n : number_, k};
    if (Planted("fold_number")) control::StampOf(&record)->k = log_->fold().leader().k + 1;
    MILLRACE_CO_ASSIGN(const control::Verdict verdict, co_await writer_->Write(record));
    // A record with a higher count overtook it, so no copy of it can take effect any more.
    if (verdict != control::Verdict::kLate) co_return verdict;
  } while (Executor::Current().Monotonic() < deadline);
  co_return Unavailable("a record was overtaken by others for too long");
}

Task<Status> Leadership::Write(control::Record record, std::string what) {
  MILLRACE_CO_ASSIGN(const control::Verdict verdict, co_await Append(std::move(record)));
  if (verdict == control::Verdict::kValid) co_return Status();
  if (verdict == control::Verdict::kNotLeader) co_return NotLeader(what);
  co_return Conflict(
      "the control log refused to " + what + ": the definition changed meanwhile; try again",
      {{"verdict", control::VerdictName(verdict)}});
}

Task<Result<control::Verdict>> Leadership::WriteSnapshot(control::FoldImage image) {
  for (control::Snapshot& chunk : control::CutSnapshot(image, control::kSnapshotChunkBytes)) {
    control::Record record = std::move(chunk);
    CrashPoint("snapshot.before_chunk");
    MILLRACE_CO_ASSIGN(const control::Verdict verdict, co_await Append(std::move(record)));
    CrashPoint("snapshot.after_chunk");
    if (verdict != control::Verdict::kValid) co_return verdict;
  }
  co_return control::Verdict::kValid;
}

Task<> Leadership::Beat() {
  while (!stopped_ && beat_ > Executor::Duration(0)) {
    if (leads()) {
      control::Record beat = control::Beat{{}, kLease};
      const auto written = co_await Append(std::move(beat));
      if (!written.ok())
        LogWarn("the leader could not say that it lives", {{"error", written.error().message}});
    }
    co_await Delay(beat_);
  }
}

Task<> Leadership::Leave() {
  stopped_ = true;
  if (!leads() || beat_ == Executor::Duration(0)) co_return;
  control::Record last = control::Beat{{}, 0};
  const Status written = co_await Write(std::move(last), "say that it leaves");
  if (!written.ok())
    LogWarn("the leader could not say that it leaves; the next one waits for its silence",
            {{"error", written.error().message}});
}

}  // namespace millrace::runtime
