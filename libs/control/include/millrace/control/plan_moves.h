#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/model/ids.h"

namespace millrace::control {

/// Which worker runs which shards (docs/assignment.md): a pure function, integers only, without a
/// clock. Equal inputs give equal plans.

/// Milliseconds on a clock of the caller's choice. Only differences count.
using Ticks = int64_t;

/// All shards on one partition of one stream. They share a reader, so they move together.
struct BundleId {
  Offset stream;  ///< the generation of the stream
  PartitionId partition;

  friend auto operator<=>(const BundleId&, const BundleId&) = default;
};

/// How busy something keeps executors, as two averages in billionths of one executor. A sum of
/// loads is the load of the sum, so a move only takes from one worker and adds to another.
struct Load {
  int64_t quick = 0;  ///< half-life 30 s
  int64_t slow = 0;   ///< half-life 5 min
  bool known = false;

  /// Takes in the mean of one more second. The first one sets both averages.
  void Note(int64_t busy);
};

/// A worker that is not taken for dead. Its key in PlanInput is its instance.
struct Member {
  std::string name;          ///< for people, and to know a worker that keeps dying
  int64_t executors = 1;     ///< its capacity
  int64_t memory_used = 0;   ///< bytes
  int64_t memory_limit = 0;  ///< bytes; 0: not known, nothing is refused for it
  Ticks joined = 0;
  bool draining = false;
  bool standby = false;   ///< takes orphans only
  bool reachable = true;  ///< false: it keeps what it has and gets nothing new
  std::string versions;   ///< which semantics versions it runs
};

/// A worker that left.
struct Departure {
  std::string name;
  Ticks at = 0;
  bool planned = false;        ///< it said that it leaves
  std::set<BundleId> at_work;  ///< what its last report was opening or reading
};

struct Bundle {
  std::string owner;  ///< an instance, also of a dead worker; empty: nobody yet
  Load load;
  int64_t state_bytes = 0;
  std::map<std::string, bool> followers;  ///< by instance: whether it has caught up
  std::string pinned;                     ///< the name of the worker that is to have it; empty: any
  Ticks released = 0;  ///< an operator said that it kills nobody: earlier departures do not count
};

enum class Why { kOrphan, kDrain, kPinned, kFresh, kHot };
std::string_view WhyName(Why why);

/// A move that waits for its target to catch up.
struct Wish {
  std::string target;
  Why why = Why::kHot;
  Ticks since = 0;
};

/// What the next plan must know of the earlier ones. A new leader begins with an empty one, but for
/// the wishes that it finds in the reports.
struct PlanMemory {
  struct Moved {
    Ticks at = 0;
    std::string from;
  };
  /// Evaluations in a row, up to the last one.
  struct Streak {
    int hot = 0;
    int cold = 0;
    int full = 0;
  };

  std::map<BundleId, Wish> wishes;  ///< who is to follow what, to own it
  /// Who is to follow what for as long as it can, so that a death costs no restore.
  std::map<BundleId, std::string> followers;
  std::map<std::pair<BundleId, std::string>, Ticks> excluded;  ///< until when
  std::map<BundleId, Moved> moved;
  std::map<std::string, Streak> streaks;  ///< by instance
  Ticks evaluated = 0;                    ///< when balance was looked at last; 0: never
  Ticks versions_differ = 0;              ///< since when; 0: they do not
};

struct PlanInput {
  std::map<std::string, Member> members;  ///< by instance
  std::map<BundleId, Bundle> bundles;
  std::vector<Departure> departures;  ///< oldest first; an hour of them is enough
  bool balance = true;                ///< false: the operator wants no moves for balance
  bool followers = false;             ///< one more worker is to follow each bundle
  /// While no bundle has an owner that lives, so many members are waited for, as long as one joins
  /// every ten seconds. 0: none are.
  int64_t expected = 0;
  Ticks now = 0;  ///< above 0
};

struct Move {
  BundleId bundle;
  std::string to;
  Why why = Why::kOrphan;

  friend bool operator==(const Move&, const Move&) = default;
};

/// The reason for which a bundle has no owner.
enum class Unowned {
  kHeld,       ///< it was at work in workers that died: an operator must look at it
  kNoWorker,   ///< nobody can take anything
  kNoMemory,   ///< those that could lack the memory
  kExpecting,  ///< everything starts, and more workers are expected
};
std::string_view UnownedName(Unowned unowned);

struct Plan {
  std::vector<Move> assigns;            ///< to be appended now
  std::vector<Move> started;            ///< wishes that are new in `memory`, in order
  std::map<BundleId, Unowned> unowned;  ///< every other bundle has an owner or is in `assigns`
  std::set<std::string> shaky;          ///< names of members that keep dying
  PlanMemory memory;                    ///< for the next plan
};

/// What the leader should do now. Call it after each event and every second: it looks at balance
/// once in ten seconds by itself.
Plan PlanMoves(const PlanInput& input, PlanMemory memory);

}  // namespace millrace::control
