#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "millrace/base/hash.h"
#include "millrace/control/plan_moves.h"

namespace millrace::control {

inline constexpr int64_t kExecutor = 1'000'000'000;  ///< one executor's whole time, as Load has it
inline constexpr int64_t kPoint = kExecutor / 100;   ///< one percent of a worker's capacity
inline constexpr int64_t kMoveMemory = 70;           ///< percent of a target's memory
inline constexpr int kMovesAtOnce = 64;
inline constexpr Ticks kNotBack = 15 * 60'000;  ///< a bundle does not return to where it was

/// A worker with what it has and what is on the way to it or leaves it.
struct WorkerSum {
  const Member* member = nullptr;
  Load sum;
  int64_t memory = 0;
  int incoming = 0;
  int outgoing = 0;
  int follows = 0;  ///< bundles that it follows for as long as it can
  bool shaky = false;

  /// May run what has no owner.
  bool CanRun() const { return member->reachable && !member->draining; }
  /// May be the target of a planned move.
  bool CanTake() const { return CanRun() && !member->standby && !shaky; }
  void Add(const Load& load, int sign) {
    sum.quick += sign * load.quick;
    sum.slow += sign * load.slow;
  }
  /// Busy share of each executor.
  Load Share() const { return {sum.quick / member->executors, sum.slow / member->executors, true}; }
  Load After(const Load& load) const {
    return {(sum.quick + load.quick) / member->executors,
            (sum.slow + load.slow) / member->executors, true};
  }
};

/// One run of PlanMoves: the steps in order, each on the sums that the ones before it left.
class Planner {
 public:
  Planner(const PlanInput& input, PlanMemory memory);
  Plan Run();

 private:
  using May = std::function<bool(const std::string& instance, const WorkerSum& worker)>;
  struct Placed {
    const Bundle* bundle = nullptr;
    Load load;       ///< never below the least that counts
    std::string at;  ///< where it is, or is to be once all moves are done; empty: nowhere
    bool moving = false;
  };
  struct Pair {
    std::string source;
    std::string target;
    Why why = Why::kHot;
    bool urgent = false;  ///< the source is full: the quick average alone decides
  };

  void Forget();
  void Settle();
  void Orphans();
  void Pins();
  void Drains();
  void Balance();
  void Followers();

  std::set<BundleId> Held() const;
  bool Expects() const;
  std::string OrphanTarget(const BundleId& id, const Placed& placed) const;
  bool Fits(const WorkerSum& worker, const Bundle& bundle, int64_t percent) const;
  std::string LeastAfter(const BundleId& id, const Load& load, const May& may) const;
  std::string PinTarget(const BundleId& id, const Placed& placed, int64_t percent) const;
  std::string FollowerOf(const BundleId& id, const Placed& placed, const std::string& before) const;
  Load Mean() const;
  void MoveTo(Placed* placed, const std::string& target);
  void CountWish(Placed* placed, const std::string& target);
  void Start(const BundleId& id, const std::string& target, Why why);

  // plan_balance.cc
  bool VersionsDiffer();
  bool Stopped();
  void CountStreaks(const Load& mean);
  bool IsFresh(const WorkerSum& worker, const Load& mean) const;
  std::vector<Pair> Pairs(const Load& mean) const;
  std::optional<BundleId> Choose(const Pair& pair, const Load& mean) const;
  bool StartOne(const Load& mean);

  const PlanInput& in_;
  Plan plan_;
  std::map<std::string, WorkerSum> workers_;
  std::map<BundleId, Placed> placed_;
  int under_way_ = 0;
  bool unsettled_ = false;  ///< a bundle had no owner when this plan began
};

}  // namespace millrace::control
