#include "millrace/runtime/roster.h"

#include <algorithm>

#include "millrace/base/facts.h"
#include "millrace/base/log.h"
#include "millrace/base/planted.h"
#include "millrace/control/plan_fold.h"
#include "millrace/runtime/shard.h"

namespace millrace::runtime {
namespace {

constexpr control::Ticks kRemembered = 60 * 60'000;  ///< departures
constexpr size_t kMostGone = 10'000;
constexpr size_t kMostDepartures = 1'000;

/// What a worker that dies may have died of.
bool AtWork(const ShardReport& shard) {
  return shard.info.state == PhaseName(ShardPhase::kOpening) ||
         shard.info.next_offset < shard.info.end_offset;
}

}  // namespace

const Roster::Worker* Roster::Find(uint64_t instance) const {
  const auto at = workers_.find(instance);
  return at == workers_.end() ? nullptr : &at->second;
}

Status Roster::Joined(Hello hello, Duration now) {
  const uint64_t instance = hello.process.instance;
  const auto gone = gone_.find(instance);
  if (gone != gone_.end() && gone->second) {
    return Conflict(
        "this instance of the worker is taken for gone: it said so, or another one "
        "has its data directory",
        {{"worker", hello.process.name}});
  }
  if (hello.predecessor != 0 && hello.predecessor != instance)
    Depart(hello.predecessor, now, false, true);
  const auto known = workers_.find(instance);
  if (known == workers_.end() && workers_.size() >= kMostWorkers)
    return ResourceExhausted("this coordinator knows too many workers", {{"most", kMostWorkers}});
  if (gone != gone_.end()) {
    gone_.erase(gone);
    std::erase(gone_order_, instance);
  }
  Worker& worker = workers_[instance];
  if (!worker.heard) worker.joined = TicksOf(now);
  worker.hello = std::move(hello);
  worker.heard = worker.linked = worker.reported = true;
  worker.unreachable = false;
  worker.silent = 0;
  return {};
}

bool Roster::Reported(uint64_t instance, Report report) {
  const auto at = workers_.find(instance);
  if (at == workers_.end() || !at->second.heard) return false;
  Worker& worker = at->second;
  worker.report = std::move(report);
  worker.linked = worker.reported = true;
  worker.unreachable = false;
  worker.silent = 0;
  std::map<ShardId, int> level;
  for (const ShardReport& shard : worker.report.shards) {
    if (shard.level && shard.info.state == PhaseName(ShardPhase::kFollowing))
      level[shard.info.shard] = worker.level[shard.info.shard] + 1;
  }
  worker.level = std::move(level);
  return true;
}

void Roster::Broke(uint64_t instance) {
  const auto at = workers_.find(instance);
  if (at != workers_.end()) at->second.linked = false;
}

void Roster::Left(uint64_t instance, Duration now) { Depart(instance, now, true, true); }

/// `final`: it cannot come back.
void Roster::Depart(uint64_t instance, Duration now, bool planned, bool final) {
  const bool known = gone_.contains(instance);
  gone_[instance] |= final;
  if (!known) gone_order_.push_back(instance);
  if (gone_order_.size() > kMostGone) {
    gone_.erase(gone_order_.front());
    gone_order_.pop_front();
  }
  const auto at = workers_.find(instance);
  if (at == workers_.end()) return;
  const Worker& worker = at->second;
  Departure departure{worker.hello.process.name, TicksOf(now), planned, {}};
  for (const ShardReport& shard : worker.report.shards)
    if (!planned && AtWork(shard)) departure.at_work.insert(shard.info.shard);
  departures_.push_back(std::move(departure));
  if (departures_.size() > kMostDepartures) departures_.pop_front();
  LogInfo(planned ? "a worker has left" : "a worker is dead, its shards get other owners",
          {{"worker", worker.hello.process.name}, {"silent_rounds", worker.silent}});
  workers_.erase(at);
}

/// Whose commits were read since the last round.
void Roster::NoteCommits(const control::Fold& fold) {
  std::map<ShardId, CutNumber> cuts;
  for (const auto& [id, shard] : fold.shards()) {
    const auto before = cuts_.find(id);
    cuts[id] = shard.last_cut;
    if (before == cuts_.end() || before->second == shard.last_cut || shard.commits.empty() ||
        shard.commits.back().epoch != shard.epoch)
      continue;
    const auto worker = workers_.find(shard.worker.instance);
    if (worker != workers_.end()) worker->second.since_commit = 0;
  }
  cuts_ = std::move(cuts);
}

/// An owner that never said Hello here may live all the same: this coordinator began a moment ago,
/// or is cut off.
void Roster::NoteOwners(const control::Fold& fold, Duration now) {
  if (alone_ || Planted("new_leader_assigns_living_owners")) return;
  std::set<uint64_t> owners;
  for (const auto& [id, shard] : fold.shards()) {
    const uint64_t instance = shard.worker.instance;
    if (instance == 0 || !owners.insert(instance).second) continue;
    if (workers_.contains(instance) || gone_.contains(instance)) continue;
    Worker& worker = workers_[instance];
    worker.hello.process = shard.worker;
    worker.joined = TicksOf(now);
    worker.reported = true;  // it has all rounds before it
  }
  std::erase_if(workers_, [&](const auto& worker) {
    return !worker.second.heard && !owners.contains(worker.first);
  });
}

void Roster::NoteLoads(const control::Fold& fold, const Worker& worker) {
  for (const ShardReport& shard : worker.report.shards) {
    const auto at = fold.shards().find(shard.info.shard);
    if (at == fold.shards().end() || at->second.epoch != shard.info.epoch ||
        at->second.worker.instance != worker.hello.process.instance ||
        shard.info.state != PhaseName(ShardPhase::kRunning))
      continue;
    Busy& busy = busy_[shard.info.shard];
    const Duration more = shard.busy - std::exchange(busy.seen, shard.busy);
    const int64_t rounds = rounds_ - std::exchange(busy.round, rounds_);
    // A report comes from elsewhere: it may name a shard twice.
    const bool again = std::exchange(busy.epoch, shard.info.epoch) == shard.info.epoch;
    // Microseconds of a second, in billionths of it.
    if (again && rounds > 0) busy.load.Note(std::max<int64_t>(0, more.count()) * 1000 / rounds);
  }
}

/// More than half of the workers are silent.
bool Roster::CutOff() const {
  const auto silent = std::count_if(workers_.begin(), workers_.end(), [](const auto& worker) {
    return worker.second.silent >= kBrokenRounds;
  });
  return static_cast<size_t>(silent) * 2 > workers_.size();
}

bool Roster::LeaderIsDeaf(int64_t number) const {
  int64_t answered = 0;
  int64_t unanswered = 0;
  for (const auto& [instance, worker] : workers_) {
    if (!worker.answers()) continue;
    ++(worker.report.leader == number ? answered : unanswered);
  }
  return unanswered > answered;
}

bool Roster::Round(const control::Fold& fold, Duration now, bool at_end) {
  ++rounds_;
  const Duration apart = now - std::exchange(last_round_, now);
  const bool paused = apart > kPaused && !Planted("silence_by_clock_difference");
  NoteCommits(fold);
  NoteOwners(fold, now);
  std::erase_if(busy_, [&](const auto& busy) { return !fold.shards().contains(busy.first); });
  while (!departures_.empty() && TicksOf(now) - departures_.front().at > kRemembered)
    departures_.pop_front();
  if (paused || !at_end) {
    up_ = 0;
    for (auto& [instance, worker] : workers_) worker.silent = 0;
    return false;
  }
  ++up_;
  for (auto& [instance, worker] : workers_) {
    ++worker.since_commit;
    if (std::exchange(worker.reported, false)) {
      worker.silent = 0;
      NoteLoads(fold, worker);
    } else if (Planted("silence_by_clock_difference")) {
      worker.silent += static_cast<int>(apart / std::chrono::seconds(1));
    } else {
      ++worker.silent;
    }
  }
  const int more = CutOff() ? kCutOffRounds : 0;
  std::vector<uint64_t> dead;
  for (auto& [instance, worker] : workers_) {
    const int most = (worker.heard && !worker.linked ? kBrokenRounds : kSilentRounds) + more;
    const bool silent = worker.silent >= most && up_ >= kSilentRounds;
    worker.unreachable = silent && worker.since_commit <= kCommitRounds;
    if (silent && !worker.unreachable) dead.push_back(instance);
  }
  for (const uint64_t instance : dead) Depart(instance, now, false, false);
  return !dead.empty();
}

}  // namespace millrace::runtime
