#include "millrace/control/plan_moves.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "planner.h"

namespace millrace::control {
namespace {

constexpr Ticks kMinute = 60'000;

/// 1 - 2^(-1/30) and 1 - 2^(-1/300), in millionths.
constexpr int64_t kQuickStep = 22'840;
constexpr int64_t kSlowStep = 2'308;
constexpr int64_t kMillion = 1'000'000;

/// A target that has not caught up by then will not do so soon.
constexpr Ticks kFollowTime = kMinute;
constexpr int64_t kRestoredPerTick = 20'000;  ///< 20 MB/s
constexpr Ticks kExcluded = 10 * kMinute;

constexpr size_t kSets = 10;      ///< of bundles that were at work in a worker that died
constexpr int kHeldAtDeaths = 3;  ///< so many of them
constexpr size_t kHeldAtNames = 2;
constexpr size_t kHeldShare =
    20;  ///< at most one in so many bundles, else a bad build is the cause

constexpr Ticks kShakyWithin = 10 * kMinute;
constexpr int kShakyDeaths = 2;

/// A start of everything waits so long for each next worker.
constexpr Ticks kExpects = 10'000;

constexpr int64_t kOrphanMemory = 90;  ///< percent of a worker's
constexpr int kDrainsPerTarget = 8;
constexpr int64_t kDrainSlack = kPoint * 5 / 2;

/// Decides between equals: no worker is preferred for its name or its place in a list.
uint64_t Rendezvous(const BundleId& bundle, const std::string& instance) {
  const int64_t id[2] = {bundle.stream.value, bundle.partition.value};
  return Hash(instance, Hash({reinterpret_cast<const char*>(id), sizeof id}).lo).lo;
}

}  // namespace

void Load::Note(int64_t busy) {
  if (!known) {
    *this = {busy, busy, true};
    return;
  }
  quick += (busy - quick) * kQuickStep / kMillion;
  slow += (busy - slow) * kSlowStep / kMillion;
}

std::string_view WhyName(Why why) {
  switch (why) {
    case Why::kOrphan:
      return "orphan";
    case Why::kDrain:
      return "drain";
    case Why::kPinned:
      return "pinned";
    case Why::kFresh:
      return "fresh";
    case Why::kHot:
      return "hot";
  }
  return "orphan";
}

std::string_view UnownedName(Unowned unowned) {
  switch (unowned) {
    case Unowned::kHeld:
      return "held";
    case Unowned::kNoWorker:
      return "no_worker";
    case Unowned::kNoMemory:
      return "no_memory";
    case Unowned::kExpecting:
      return "expecting";
  }
  return "no_worker";
}

Planner::Planner(const PlanInput& input, PlanMemory memory) : in_(input) {
  plan_.memory = std::move(memory);
  std::map<std::string, int> deaths;
  for (const Departure& departure : in_.departures)
    if (!departure.planned && in_.now - departure.at < kShakyWithin) ++deaths[departure.name];
  int64_t capacity = 0;
  for (const auto& [instance, member] : in_.members) {
    WorkerSum sum;
    sum.member = &member;
    sum.memory = member.memory_used;
    sum.shaky = deaths[member.name] >= kShakyDeaths;
    if (sum.shaky) plan_.shaky.insert(member.name);
    workers_.emplace(instance, sum);
    capacity += member.executors;
  }
  // So that bundles without load spread by their number.
  const int64_t least = in_.bundles.empty()
                            ? 0
                            : capacity * kExecutor / 100 / static_cast<int64_t>(in_.bundles.size());
  for (const auto& [id, bundle] : in_.bundles) {
    Placed& placed = placed_[id];
    placed.bundle = &bundle;
    placed.load = {std::max(bundle.load.quick, least), std::max(bundle.load.slow, least), true};
    const auto owner = workers_.find(bundle.owner);
    if (owner == workers_.end()) continue;
    placed.at = bundle.owner;
    owner->second.Add(placed.load, 1);
  }
}

Plan Planner::Run() {
  Forget();
  Settle();
  Orphans();
  Pins();
  Drains();
  Balance();
  Followers();
  return std::move(plan_);
}

void Planner::Forget() {
  PlanMemory& memory = plan_.memory;
  std::erase_if(memory.excluded, [&](const auto& e) {
    return e.second <= in_.now || !in_.bundles.contains(e.first.first);
  });
  std::erase_if(memory.moved, [&](const auto& m) {
    return in_.now - m.second.at >= kNotBack || !in_.bundles.contains(m.first);
  });
  std::erase_if(memory.streaks, [&](const auto& s) { return !in_.members.contains(s.first); });
}

/// Moves that are under way end here: done, or given up.
void Planner::Settle() {
  const std::map<BundleId, Wish> wishes = std::exchange(plan_.memory.wishes, {});
  for (const auto& [id, wish] : wishes) {
    const auto at = placed_.find(id);
    // Gone, at its target already, or an orphan, which goes to a follower if there is one.
    if (at == placed_.end() || at->second.at.empty() || at->second.at == wish.target) continue;
    Placed& placed = at->second;
    const auto target = workers_.find(wish.target);
    const Ticks most = kFollowTime + placed.bundle->state_bytes / kRestoredPerTick;
    const bool lost =
        target == workers_.end() ||
        !(wish.why == Why::kPinned ? target->second.CanRun() : target->second.CanTake());
    if (lost || in_.now - wish.since > most) {
      plan_.memory.excluded[{id, wish.target}] = in_.now + kExcluded;
      continue;
    }
    const auto follower = placed.bundle->followers.find(wish.target);
    if (follower != placed.bundle->followers.end() && follower->second) {
      plan_.assigns.push_back({id, wish.target, wish.why});
      plan_.memory.moved[id] = {in_.now, placed.at};
      MoveTo(&placed, wish.target);
      continue;
    }
    plan_.memory.wishes[id] = wish;
    CountWish(&placed, wish.target);
  }
}

void Planner::MoveTo(Placed* placed, const std::string& target) {
  if (!placed->at.empty()) workers_.at(placed->at).Add(placed->load, -1);
  workers_.at(target).Add(placed->load, 1);
  workers_.at(target).memory += placed->bundle->state_bytes;
  placed->at = target;
}

/// A bundle that is to move counts as moved, else the next decision would be made on loads that are
/// about to change.
void Planner::CountWish(Placed* placed, const std::string& target) {
  ++workers_.at(placed->at).outgoing;
  ++workers_.at(target).incoming;
  ++under_way_;
  placed->moving = true;
  MoveTo(placed, target);
}

void Planner::Start(const BundleId& id, const std::string& target, Why why) {
  plan_.memory.wishes[id] = {target, why, in_.now};
  plan_.started.push_back({id, target, why});
  CountWish(&placed_.at(id), target);
}

/// Bundles that were at work in several workers when these died: they may be the cause.
std::set<BundleId> Planner::Held() const {
  std::map<BundleId, std::pair<int, std::set<std::string>>> seen;
  size_t sets = 0;
  for (auto at = in_.departures.rbegin(); at != in_.departures.rend() && sets < kSets; ++at) {
    if (at->planned) continue;
    ++sets;
    for (const BundleId& id : at->at_work) {
      const auto bundle = in_.bundles.find(id);
      if (bundle == in_.bundles.end() || at->at <= bundle->second.released) continue;
      auto& [count, names] = seen[id];
      ++count;
      names.insert(at->name);
    }
  }
  std::set<BundleId> held;
  for (const auto& [id, deaths] : seen)
    if (deaths.first >= kHeldAtDeaths && deaths.second.size() >= kHeldAtNames) held.insert(id);
  if (held.size() > std::max<size_t>(1, in_.bundles.size() / kHeldShare)) held.clear();
  return held;
}

bool Planner::Fits(const WorkerSum& worker, const Bundle& bundle, int64_t percent) const {
  const int64_t limit = worker.member->memory_limit;
  return limit == 0 || worker.memory + bundle.state_bytes <= limit / 100 * percent;
}

/// Everything was down, and what comes back first is not to get it all.
bool Planner::Expects() const {
  if (in_.expected == 0 || std::any_of(placed_.begin(), placed_.end(),
                                       [](const auto& p) { return !p.second.at.empty(); }))
    return false;
  int64_t there = 0;
  Ticks newest = 0;
  for (const auto& [instance, worker] : workers_) {
    if (!worker.CanRun()) continue;
    ++there;
    newest = std::max(newest, worker.member->joined);
  }
  return there < in_.expected && in_.now - newest < kExpects;
}

/// The one that is least busy with the bundle in it; empty: `may` allows none.
std::string Planner::LeastAfter(const BundleId& id, const Load& load, const May& may) const {
  std::string best;
  std::pair<int64_t, uint64_t> best_rank;
  for (const auto& [instance, worker] : workers_) {
    if (!may(instance, worker)) continue;
    const std::pair rank(worker.After(load).slow, ~Rendezvous(id, instance));
    if (!best.empty() && best_rank <= rank) continue;
    best = instance;
    best_rank = rank;
  }
  return best;
}

void Planner::Orphans() {
  const std::set<BundleId> held = Held();
  const bool expects = Expects();
  std::vector<BundleId> orphans;
  for (const auto& [id, placed] : placed_)
    if (placed.at.empty()) orphans.push_back(id);
  std::stable_sort(orphans.begin(), orphans.end(), [&](const BundleId& a, const BundleId& b) {
    return placed_.at(a).load.slow > placed_.at(b).load.slow;
  });
  for (const BundleId& id : orphans) {
    if (held.contains(id)) {
      plan_.unowned[id] = Unowned::kHeld;
      continue;
    }
    unsettled_ = true;
    if (expects) {
      plan_.unowned[id] = Unowned::kExpecting;
      continue;
    }
    Placed& placed = placed_.at(id);
    const std::string target = OrphanTarget(id, placed);
    if (!target.empty()) {
      plan_.assigns.push_back({id, target, Why::kOrphan});
      MoveTo(&placed, target);
      continue;
    }
    const bool any = std::any_of(workers_.begin(), workers_.end(),
                                 [](const auto& w) { return w.second.CanRun(); });
    plan_.unowned[id] = any ? Unowned::kNoMemory : Unowned::kNoWorker;
  }
}

/// A follower has the state already. Who keeps dying gets only what nobody else can take. Pairs
/// that did not get level are no hindrance here: a late owner is better than none.
std::string Planner::OrphanTarget(const BundleId& id, const Placed& placed) const {
  const auto follows = [&](const std::string& instance, const WorkerSum& worker, bool level) {
    const auto at = placed.bundle->followers.find(instance);
    return worker.CanRun() && at != placed.bundle->followers.end() && at->second >= level;
  };
  const auto fits = [&](const WorkerSum& worker) {
    return worker.CanRun() && Fits(worker, *placed.bundle, kOrphanMemory);
  };
  using Name = const std::string&;
  std::string target = PinTarget(id, placed, kOrphanMemory);
  if (target.empty())
    target = LeastAfter(id, placed.load,
                        [&](Name name, const auto& worker) { return follows(name, worker, true); });
  if (target.empty())
    target = LeastAfter(id, placed.load, [&](Name name, const auto& worker) {
      return follows(name, worker, false);
    });
  if (target.empty())
    target = LeastAfter(id, placed.load,
                        [&](Name, const auto& worker) { return fits(worker) && !worker.shaky; });
  if (target.empty())
    target = LeastAfter(id, placed.load, [&](Name, const auto& worker) { return fits(worker); });
  return target;
}

/// The worker of the name that the bundle is pinned to, if it is there and may run it. An operator
/// said so: a standby may, and one that keeps dying.
std::string Planner::PinTarget(const BundleId& id, const Placed& placed, int64_t percent) const {
  const Bundle& bundle = *placed.bundle;
  if (bundle.pinned.empty()) return {};
  return LeastAfter(id, placed.load, [&](const std::string&, const WorkerSum& worker) {
    return worker.member->name == bundle.pinned && worker.CanRun() && Fits(worker, bundle, percent);
  });
}

/// What runs elsewhere than where it is pinned to goes there once that worker can take it.
void Planner::Pins() {
  for (const auto& [id, placed] : placed_) {
    if (under_way_ >= kMovesAtOnce) return;
    if (placed.at.empty() || placed.moving) continue;
    const WorkerSum& owner = workers_.at(placed.at);
    if (owner.member->name == placed.bundle->pinned && owner.CanRun()) continue;
    const std::string target = PinTarget(id, placed, kMoveMemory);
    if (target.empty() || target == placed.at || plan_.memory.excluded.contains({id, target}) ||
        workers_.at(target).incoming >= kDrainsPerTarget)
      continue;
    Start(id, target, Why::kPinned);
  }
}

/// Whoever follows it goes on. Else it is one that follows little.
std::string Planner::FollowerOf(const BundleId& id, const Placed& placed,
                                const std::string& before) const {
  const auto may = [&](const std::string& instance, const WorkerSum& worker) {
    return worker.CanRun() && !worker.shaky && instance != placed.at &&
           instance != placed.bundle->owner;
  };
  std::string best;
  std::tuple<bool, int64_t, uint64_t> best_rank;
  for (const auto& [instance, worker] : workers_) {
    const bool follows = instance == before || placed.bundle->followers.contains(instance);
    if (!may(instance, worker) || !(follows || Fits(worker, *placed.bundle, kMoveMemory))) continue;
    const std::tuple rank(instance != before, worker.follows * kExecutor / worker.member->executors,
                          ~Rendezvous(id, instance));
    if (!best.empty() && best_rank <= rank) continue;
    best = instance;
    best_rank = rank;
  }
  return best;
}

void Planner::Followers() {
  const std::map<BundleId, std::string> before = std::exchange(plan_.memory.followers, {});
  if (!in_.followers) return;
  // Those that stay first: who is new has to know what everybody follows.
  for (const bool stays : {true, false}) {
    for (const auto& [id, placed] : placed_) {
      if (placed.at.empty() || plan_.memory.followers.contains(id)) continue;
      const auto at = before.find(id);
      const std::string old = at == before.end() ? std::string() : at->second;
      const std::string follower = FollowerOf(id, placed, old);
      if (follower.empty() || (stays && follower != old)) continue;
      plan_.memory.followers[id] = follower;
      ++workers_.at(follower).follows;
    }
  }
}

void Planner::Drains() {
  std::vector<BundleId> leaving;
  for (const auto& [id, placed] : placed_) {
    if (!placed.at.empty() && !placed.moving && workers_.at(placed.at).member->draining &&
        workers_.at(placed.at).member->reachable)
      leaving.push_back(id);
  }
  std::stable_sort(leaving.begin(), leaving.end(), [&](const BundleId& a, const BundleId& b) {
    return placed_.at(a).bundle->state_bytes < placed_.at(b).bundle->state_bytes;
  });
  const Load mean = Mean();
  for (const BundleId& id : leaving) {
    if (under_way_ >= kMovesAtOnce) return;
    const Placed& placed = placed_.at(id);
    const std::string target =
        LeastAfter(id, placed.load, [&](const std::string& name, const auto& w) {
          return w.CanTake() && Fits(w, *placed.bundle, kMoveMemory) &&
                 !plan_.memory.excluded.contains({id, name});
        });
    if (target.empty()) continue;
    const WorkerSum& worker = workers_.at(target);
    // A busy target is waited for. To pass by it would pile the shards of a rolling restart up on
    // whoever is left.
    if (worker.incoming >= kDrainsPerTarget) continue;
    if (worker.After(placed.load).slow >
        mean.slow + kDrainSlack + placed.load.slow / worker.member->executors)
      continue;
    Start(id, target, Why::kDrain);
  }
}

/// How busy all would be, if what they and those that leave have were spread evenly.
Load Planner::Mean() const {
  Load sum;
  int64_t capacity = 0;
  for (const auto& [instance, worker] : workers_) {
    if (worker.CanTake()) capacity += worker.member->executors;
    if (!worker.CanTake() && !worker.member->draining) continue;
    sum.quick += worker.sum.quick;
    sum.slow += worker.sum.slow;
  }
  if (capacity == 0) return {};
  return {sum.quick / capacity, sum.slow / capacity, true};
}

Plan PlanMoves(const PlanInput& input, PlanMemory memory) {
  Planner planner(input, std::move(memory));
  return planner.Run();
}

}  // namespace millrace::control
