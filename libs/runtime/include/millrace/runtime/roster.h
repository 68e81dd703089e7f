#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "millrace/control/fold.h"
#include "millrace/control/plan_moves.h"
#include "millrace/runtime/worker_link.h"

namespace millrace::runtime {

/// Which workers live, and what they said last, as one coordinator knows it. Every coordinator has
/// one, whether it leads or not, so a new leader knows the workers already.
///
/// Silence is counted in rounds, never as a difference of times. A round is one pass of a timer of
/// a second in which everything that had arrived was handled first. If two rounds are further apart
/// than kPaused, the observer itself was paused, and all counts begin again.
///
/// Pure: no thread, no clock, no log. Bounds: kMostWorkers; the departures of an hour.
class Roster {
 public:
  using Duration = std::chrono::microseconds;

  /// Rounds without a report, after which a worker is dead.
  static constexpr int kSilentRounds = 5;
  /// The same if its link broke and none came back.
  static constexpr int kBrokenRounds = 2;
  /// So many more if more than half of the workers are silent: the observer is cut off, probably.
  static constexpr int kCutOffRounds = 5;
  /// A valid commit that was read in so many of the last rounds shows that its owner lives.
  static constexpr int kCommitRounds = 2;
  static constexpr Duration kPaused = std::chrono::seconds(2);
  static constexpr size_t kMostWorkers = 1'000;

  struct Worker {
    Hello hello;         ///< of one that the fold alone names: its name and instance
    bool heard = false;  ///< it said Hello to this coordinator
    bool linked = false;
    bool unreachable = false;  ///< silent, and its commits show that it lives
    int silent = 0;            ///< rounds in a row without a report
    control::Ticks joined = 0;
    Report report;                 ///< the newest
    std::map<ShardId, int> level;  ///< of shards that it follows: reports in a row

    /// It is there to be asked and to be given something.
    bool answers() const { return heard && linked && silent < kBrokenRounds; }

   private:
    friend class Roster;
    bool reported = false;  ///< since the last round
    int since_commit = kCommitRounds + 1;
  };

  /// `alone`: no process but this one can own a shard, so every other owner that the fold names is
  /// dead.
  explicit Roster(bool alone) : alone_(alone) {}

  /// kConflict: this instance said Bye, or its successor is there. kResourceExhausted: there are
  /// kMostWorkers.
  Status Joined(Hello hello, Duration now);
  /// False: no such worker, so it has to say Hello first.
  bool Reported(uint64_t instance, Report report);
  /// Its link broke.
  void Broke(uint64_t instance);
  /// It said Bye.
  void Left(uint64_t instance, Duration now);
  /// One round. `at_end`: the control log was read to its end in it; else nobody is called dead for
  /// it. True: somebody is called dead.
  bool Round(const control::Fold& fold, Duration now, bool at_end);

  /// Most of the workers that answer here say that the leader of this number does not answer them.
  bool LeaderIsDeaf(int64_t number) const;

  /// Those that are not dead, by instance.
  const std::map<uint64_t, Worker>& workers() const { return workers_; }
  const Worker* Find(uint64_t instance) const;

  /// What a plan has to know.
  control::PlanInput Input(const control::Fold& fold, Duration now) const;
  /// Those that a plan may give something, by the names of their instances.
  std::map<std::string, control::Process> Takers() const;
  static control::Ticks TicksOf(Duration now) { return 1 + now.count() / 1000; }

 private:
  struct Departure {
    std::string name;
    control::Ticks at = 0;
    bool planned = false;
    std::set<ShardId> at_work;
  };
  /// How busy a shard is, over its owners.
  struct Busy {
    control::Load load;
    Epoch epoch;
    Duration seen{0};   ///< ShardReport::busy of this epoch
    int64_t round = 0;  ///< in which it was seen
  };

  void Depart(uint64_t instance, Duration now, bool planned, bool final);
  void NoteCommits(const control::Fold& fold);
  void NoteOwners(const control::Fold& fold, Duration now);
  void NoteLoads(const control::Fold& fold, const Worker& worker);
  bool CutOff() const;

  const bool alone_;
  std::map<uint64_t, Worker> workers_;
  /// Those that are dead, and whether for certain. One that only was silent may come back.
  std::map<uint64_t, bool> gone_;
  std::deque<uint64_t> gone_order_;
  std::deque<Departure> departures_;
  std::map<ShardId, CutNumber> cuts_;  ///< the newest, as of the last round
  std::map<ShardId, Busy> busy_;
  int64_t rounds_ = 0;
  int up_ = 0;  ///< rounds since the start, or since a pause
  Duration last_round_{0};
};

}  // namespace millrace::runtime
