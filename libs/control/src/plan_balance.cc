#include <algorithm>

#include "planner.h"

// Moves for balance: when there is a reason for any, and which. What must move, because nobody runs
// it or its worker leaves, is plan_moves.cc's.

namespace millrace::control {
namespace {

constexpr Ticks kSecond = 1000;
constexpr Ticks kMinute = 60 * kSecond;

constexpr Ticks kEvaluation = 10 * kSecond;
constexpr Ticks kSettling = 10 * kSecond;   ///< after somebody joined
constexpr Ticks kAfterLeave = 3 * kMinute;  ///< a rolling restart may be under way
constexpr Ticks kVersions = 60 * kMinute;   ///< so long a mix of versions stops balance
constexpr Ticks kFresh = 10 * kMinute;      ///< so long a newcomer is one
constexpr Ticks kCoolDown = 5 * kMinute;    ///< of a bundle that moved
constexpr Ticks kUrgentCoolDown = kMinute;

constexpr int64_t kBand = 10 * kPoint;  ///< from the mean: no reason yet
constexpr int64_t kGain =
    2 * kPoint;  ///< a move must leave so much of the gap, or it is not worth it
constexpr int64_t kFull = 95 * kPoint;
constexpr int kStreak = 3;                  ///< evaluations in a row
constexpr int kMovesPerWorker = 4;          ///< to one, and from one
constexpr size_t kEvaluationShare = 20;     ///< one in so many bundles moves in an evaluation
constexpr int64_t kGapSteps = kPoint / 10;  ///< gaps that differ by less are equal

}  // namespace

bool Planner::VersionsDiffer() {
  Ticks& since = plan_.memory.versions_differ;
  const bool differ = std::any_of(in_.members.begin(), in_.members.end(), [&](const auto& m) {
    return m.second.versions != in_.members.begin()->second.versions;
  });
  if (!differ) {
    since = 0;
  } else if (since == 0) {
    since = in_.now;
  }
  return differ && in_.now - since < kVersions;
}

/// While something else is going on, moves for balance would be in its way.
bool Planner::Stopped() {
  bool stopped = VersionsDiffer() || unsettled_ || !in_.balance;
  for (const auto& [instance, member] : in_.members)
    stopped |= !member.reachable || member.draining || in_.now - member.joined < kSettling;
  for (const Departure& departure : in_.departures)
    stopped |= departure.planned && in_.now - departure.at < kAfterLeave;
  return stopped;
}

void Planner::CountStreaks(const Load& mean) {
  for (const auto& [instance, worker] : workers_) {
    PlanMemory::Streak& streak = plan_.memory.streaks[instance];
    const auto count = [](int* in_a_row, bool again) { *in_a_row = again ? *in_a_row + 1 : 0; };
    const Load share = worker.Share();
    count(&streak.hot, share.quick - mean.quick >= kBand && share.slow - mean.slow >= kBand);
    count(&streak.cold, mean.quick - share.quick >= kBand && mean.slow - share.slow >= kBand);
    count(&streak.full, share.quick > kFull);
  }
}

/// A newcomer that lacks more than one bundle of average size.
bool Planner::IsFresh(const WorkerSum& worker, const Load& mean) const {
  if (!worker.CanTake() || in_.now - worker.member->joined >= kFresh) return false;
  const auto bundles = static_cast<int64_t>(in_.bundles.size());
  Load all;
  for (const auto& [instance, one] : workers_) {
    all.quick += one.sum.quick;
    all.slow += one.sum.slow;
  }
  const Load share = worker.Share();
  return (mean.quick - share.quick) * worker.member->executors > all.quick / bundles &&
         (mean.slow - share.slow) * worker.member->executors > all.slow / bundles;
}

/// Who may give to whom, the best pair first: to newcomers while there are any, else to the
/// coldest, from the hottest. One side of a pair must have a reason to be in it, so that others
/// rest.
std::vector<Planner::Pair> Planner::Pairs(const Load& mean) const {
  std::vector<std::pair<int64_t, std::string>> sources;
  std::vector<std::pair<int64_t, std::string>> targets;
  bool fresh = false;
  for (const auto& [instance, worker] : workers_) fresh |= IsFresh(worker, mean);
  for (const auto& [instance, worker] : workers_) {
    const bool full = plan_.memory.streaks.at(instance).full >= kStreak;
    const int64_t share = full ? worker.Share().quick : worker.Share().slow;
    if (share > (full ? mean.quick : mean.slow)) sources.push_back({-share, instance});
    if (worker.CanTake() && (!fresh || IsFresh(worker, mean)))
      targets.push_back({worker.Share().slow, instance});
  }
  std::sort(sources.begin(), sources.end());
  std::sort(targets.begin(), targets.end());
  std::vector<Pair> pairs;
  for (const auto& [low, target] : targets) {
    for (const auto& [high, source] : sources) {
      const auto& from = plan_.memory.streaks.at(source);
      const bool hot = from.hot >= kStreak || from.full >= kStreak;
      const bool cold = plan_.memory.streaks.at(target).cold >= kStreak;
      if (source == target || !(fresh || hot || cold)) continue;
      if (workers_.at(source).outgoing >= kMovesPerWorker ||
          workers_.at(target).incoming >= kMovesPerWorker)
        continue;
      pairs.push_back({source, target, fresh ? Why::kFresh : Why::kHot, from.full >= kStreak});
    }
  }
  return pairs;
}

/// The bundle that brings the two closest, and of equal ones that with the least state.
std::optional<BundleId> Planner::Choose(const Pair& pair, const Load& mean) const {
  const WorkerSum& source = workers_.at(pair.source);
  const WorkerSum& target = workers_.at(pair.target);
  const Load high = source.Share();
  const Load low = target.Share();
  std::optional<BundleId> best;
  std::pair<int64_t, int64_t> best_rank;
  for (const auto& [id, placed] : placed_) {
    if (placed.at != pair.source || placed.moving || !placed.bundle->pinned.empty()) continue;
    if (plan_.memory.excluded.contains({id, pair.target})) continue;
    if (!Fits(target, *placed.bundle, kMoveMemory)) continue;
    if (const auto moved = plan_.memory.moved.find(id); moved != plan_.memory.moved.end()) {
      const Ticks ago = in_.now - moved->second.at;
      if (ago < (pair.urgent ? kUrgentCoolDown : kCoolDown)) continue;
      if (moved->second.from == pair.target) continue;
    }
    const auto crosses = [&](int64_t load) {
      return load / source.member->executors + load / target.member->executors;
    };
    const int64_t quick_left = high.quick - low.quick - crosses(placed.load.quick);
    const int64_t slow_left = high.slow - low.slow - crosses(placed.load.slow);
    // Workers that have little to do are as far apart in bundles as busy ones, and not in load. So
    // what a newcomer lacks is reason enough.
    const int64_t gain = pair.why == Why::kFresh ? 1 : kGain;
    if (quick_left < gain || (!pair.urgent && slow_left < gain)) continue;
    // No newcomer gets more than its share.
    if (pair.why == Why::kFresh && target.After(placed.load).slow > mean.slow) continue;
    const std::pair rank((pair.urgent ? quick_left : slow_left) / kGapSteps,
                         placed.bundle->state_bytes);
    if (best && best_rank <= rank) continue;
    best = id;
    best_rank = rank;
  }
  return best;
}

bool Planner::StartOne(const Load& mean) {
  for (const Pair& pair : Pairs(mean)) {
    const std::optional<BundleId> chosen = Choose(pair, mean);
    if (!chosen) continue;
    Start(*chosen, pair.target, pair.why);
    return true;
  }
  return false;
}

void Planner::Balance() {
  const bool stopped = Stopped();
  PlanMemory& memory = plan_.memory;
  if (memory.evaluated != 0 && in_.now - memory.evaluated < kEvaluation) return;
  memory.evaluated = in_.now;
  const Load mean = Mean();
  if (stopped || in_.bundles.empty() || !mean.known) {
    memory.streaks.clear();
    return;
  }
  CountStreaks(mean);
  const size_t most = std::max<size_t>(1, in_.bundles.size() / kEvaluationShare);
  for (size_t n = 0; n < most && under_way_ < kMovesAtOnce && StartOne(mean); ++n) {
  }
}

}  // namespace millrace::control
