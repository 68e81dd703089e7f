#pragma once

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "millrace/base/executor.h"
#include "millrace/base/result.h"
#include "sim/sim_world.h"

namespace millrace::sim {

/// How badly the way to a store behaves. The last five say how effects take place later than their
/// sender knows: up to `late_by` later, whoever died since.
struct Faults {
  Executor::Duration max_delay = std::chrono::milliseconds(20);
  double fail = 0;         ///< nothing happened, kUnavailable
  double unknown = 0;      ///< it happened, kUnavailable all the same
  double late = 0;         ///< kUnavailable, and it happens later
  double twice = 0;        ///< it happens, and once more later
  double after_death = 0;  ///< of the changes under way when their process dies: it happens later
  Executor::Duration late_by = std::chrono::seconds(5);
};

enum class Fault { kFailed, kUnknown, kLate, kTwice, kAfterDeath, kBroken };
inline constexpr std::array<std::string_view, 6> kFaultNames = {
    "failed", "unknown", "late", "twice", "after death", "link broken"};
/// How often each was injected.
using FaultCounts = std::array<int64_t, kFaultNames.size()>;

/// What is on its way between the processes of a world and the stores that they share. It outlives
/// them: an effect that left its sender takes place, whoever died since.
class Network {
 public:
  explicit Network(SimWorld* world) : world_(world), process_(world->NewProcess()) {}
  ~Network() { process_->Kill(); }
  Network(const Network&) = delete;

  /// The effect takes place `after` from now.
  void Send(Task<> effect, Executor::Duration after) {
    ++on_their_way_;
    process_->Spawn(Deliver(this, std::move(effect), after));
  }
  /// Rolls whether a fault of this kind comes now, and counts it.
  bool Roll(double p, Fault kind) {
    if (p == 0 || !world_->Chance(p)) return false;
    Count(kind);
    return true;
  }
  void Count(Fault kind) { ++counts_[static_cast<size_t>(kind)]; }

  int64_t on_their_way() const { return on_their_way_; }
  const FaultCounts& counts() const { return counts_; }
  SimWorld& world() { return *world_; }

 private:
  static Task<> Deliver(Network* network, Task<> effect, Executor::Duration after) {
    co_await Delay(after);
    co_await std::move(effect);
    --network->on_their_way_;
  }

  SimWorld* const world_;
  SimExecutor* const process_;
  int64_t on_their_way_ = 0;
  FaultCounts counts_ = {};
};

/// The way from one process to one store, and back.
class Link {
 public:
  Link(Network* network, const Faults* faults) : network_(*network), faults_(*faults) {}

  /// The way there; an error: nothing arrives.
  Task<Status> There() {
    co_await Delay(NextDelay());
    auto arrived = co_await Arrive();
    co_return arrived;
  }
  /// Its end, for what was delayed already.
  Task<Status> Arrive() {
    if (broken_there()) {
      auto lost = co_await TimeOut();
      co_return lost;
    }
    if (network_.Roll(faults_.fail, Fault::kFailed))
      co_return Unavailable("injected: failed before");
    co_return Status();
  }
  /// Both ways of a call that changes nothing.
  Task<Status> Question() {
    MILLRACE_CO_TRY(co_await There());
    if (!broken_back()) co_return Status();
    auto lost = co_await TimeOut();
    co_return lost;
  }
  /// The way back; an error: what happened there is not known here.
  Task<Status> Back() {
    co_await Delay(NextDelay());
    if (broken_back()) {
      auto lost = co_await TimeOut();
      co_return lost;
    }
    if (network_.Roll(faults_.unknown, Fault::kUnknown))
      co_return Unavailable("injected: outcome unknown");
    co_return Status();
  }
  /// For so long nothing passes in these directions.
  void Break(bool there, bool back, Executor::Duration d = std::chrono::hours(1'000)) {
    const auto until = network_.world().now() + d;
    there_again_at_ = there ? until : Executor::Duration(0);
    back_again_at_ = back ? until : Executor::Duration(0);
  }
  bool broken_there() const { return network_.world().now() < there_again_at_; }
  bool broken_back() const { return network_.world().now() < back_again_at_; }

  /// One call that changes the store: `effect` is the change, and may be made more than once.
  template <typename R>
  Task<R> Change(std::function<Task<R>()> effect);

  Executor::Duration NextDelay() { return Upto(faults_.max_delay); }
  /// How much later than they were due the changes arrive that were under way when their process
  /// died: all by the same, since they are in one stream.
  Executor::Duration AfterDeath() {
    const auto now = network_.world().now();
    if (died_at_ != now) after_death_ = Upto(faults_.late_by);
    died_at_ = now;
    return after_death_;
  }
  Executor::Duration Later() { return Upto(faults_.late_by); }
  Network& network() { return network_; }
  const Faults& faults() const { return faults_; }

 private:
  static constexpr auto kTimeOut = std::chrono::seconds(1);

  Task<Status> TimeOut() {
    network_.Count(Fault::kBroken);
    co_await Delay(kTimeOut);
    co_return Unavailable("injected: the link is broken");
  }
  Executor::Duration Upto(Executor::Duration most) {
    return Executor::Duration(network_.world().Random(static_cast<uint64_t>(most.count()) + 1));
  }

  Network& network_;
  const Faults& faults_;
  Executor::Duration there_again_at_{0};
  Executor::Duration back_again_at_{0};
  std::optional<Executor::Duration> died_at_;
  Executor::Duration after_death_{0};
};

/// One change between its start and its effect. If its frame goes in between, its process died, and
/// the change may have left already: then it takes place later. Use as the local of a coroutine.
template <typename R>
class InFlight {
 public:
  using Effect = std::function<Task<R>()>;

  /// `due`: when it takes place if all goes well. `lost` is called if it dies with its sender.
  InFlight(Link* link, Effect effect, Executor::Duration due, std::function<void()> lost = nullptr)
      : link_(*link), effect_(std::move(effect)), due_(due), lost_(std::move(lost)) {}
  InFlight(const InFlight&) = delete;
  ~InFlight() {
    if (ended_) return;
    const auto left = due_ - link_.network().world().now();
    const bool sent = !link_.broken_there() &&
                      link_.network().Roll(link_.faults().after_death, Fault::kAfterDeath);
    if (sent) {
      Send(effect_, std::max(left, Executor::Duration(0)) + link_.AfterDeath());
    } else if (lost_) {
      lost_();
    }
  }

  /// It never takes place.
  void Lost() { ended_ = true; }
  /// Rolls whether it takes place only later; its sender gets an error. `late` is what then
  /// happens.
  bool GoesLate(Effect late) {
    if (!link_.network().Roll(link_.faults().late, Fault::kLate)) return false;
    ended_ = true;
    Send(std::move(late), link_.Later());
    return true;
  }
  /// It took place, unless there was an error. `again` may happen later.
  void TookPlace(bool ok, Effect again) {
    ended_ = true;
    if (ok && link_.network().Roll(link_.faults().twice, Fault::kTwice))
      Send(std::move(again), link_.Later());
  }

 private:
  void Send(Effect effect, Executor::Duration after) {
    link_.network().Send(Land(std::move(effect)), after);
  }
  static Task<> Land(Effect effect) {
    const R landed = co_await effect();
    landed.Ignore("nobody waits for it any more");
  }

  Link& link_;
  const Effect effect_;
  const Executor::Duration due_;
  const std::function<void()> lost_;
  bool ended_ = false;
};

inline Error OnItsWay() { return Unavailable("injected: outcome unknown, it happens later"); }

template <typename R>
Task<R> Link::Change(std::function<Task<R>()> effect) {
  InFlight<R> change(this, effect, network_.world().now());
  const Status there = co_await There();
  if (!there.ok()) {
    change.Lost();
    co_return there.error();
  }
  if (change.GoesLate(effect)) co_return OnItsWay();
  R answer = co_await effect();
  change.TookPlace(answer.ok(), effect);
  const Status back = co_await Back();
  if (!back.ok()) co_return back.error();
  co_return answer;
}

}  // namespace millrace::sim
