#pragma once

#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/cluster.h"

namespace millrace::sim {

/// The processes of a cluster under faults. A name stays for all of a history; the processes of
/// that name come and go, and an old one may live on beside its successor.
class Fleet {
 public:
  struct Member {
    std::string name;
    Process::Role role = Process::Role::kAll;
    size_t executors = 0;  ///< as in Process
  };

  Fleet(SimWorld* world, Cluster* cluster, runtime::Options options, std::vector<Member> members);

  size_t size() const { return slots_.size(); }
  const Member& member(size_t i) const { return slots_[i].member; }
  /// Every process that lives, also one that was replaced.
  void ForEach(const std::function<void(Process*)>& visit);
  /// The newest process of the name; nullptr while there is none.
  Process* process(size_t i) { return slots_[i].process.get(); }
  /// One that leads and does not stand still; nullptr: there is none.
  Process* Leader();

  /// It dies somewhere in what it does within `within`, and is started again `away` after that.
  void Crash(size_t i, Executor::Duration within, Executor::Duration away);
  /// It stops in order, and is started again `away` after it has stopped.
  void Drain(size_t i, Executor::Duration away);
  /// It stands still. With a successor, another process of its name starts at once.
  void Pause(size_t i, Executor::Duration d, bool successor);
  /// For so long nothing passes from the process to this store, or back, or both.
  void Break(size_t i, size_t store, bool there, bool back, Executor::Duration d);
  static constexpr size_t kStores = 3;
  /// The same between its worker and some coordinators.
  void CutOff(size_t i, bool there, bool back, Executor::Duration d);

  /// Starts what is due and buries the dead; call it often.
  void Step();
  /// What is dead is started again at once. What was replaced lives on.
  void Heal();
  /// Nothing stands still, every link is whole, and no process waits to be started.
  bool whole() const;

  /// How often what happened, by its name.
  const std::map<std::string, int64_t>& happened() const { return happened_; }
  void Note(const std::string& what) { ++happened_[what]; }

 private:
  struct Slot {
    Member member;
    Links* links = nullptr;
    std::unique_ptr<Process> process;
    Executor::Duration start_at{0};
    Executor::Duration away{0};
  };
  void Start(Slot* slot);
  static Link& LinkTo(Links* links, size_t store);

  SimWorld* const world_;
  Cluster* const cluster_;
  const runtime::Options options_;
  std::deque<Links> links_;  ///< of all processes that ever were
  std::vector<Slot> slots_;
  std::list<std::unique_ptr<Process>> replaced_;  ///< that live on beside their successors
  Executor::Duration broken_until_{0};
  std::map<std::string, int64_t> happened_;
};

}  // namespace millrace::sim
