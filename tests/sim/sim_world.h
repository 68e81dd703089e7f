#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "millrace/base/executor.h"

namespace millrace::sim {

class SimExecutor;

/// The deterministic driver: one thread, one simulated clock, one seed. Every executor of a world
/// shares its clock; what is due at the same moment runs in the order in which it was posted, and
/// delays come from the seed, so a seed is a whole history.
class SimWorld {
 public:
  explicit SimWorld(uint64_t seed) : random_(seed) {}
  ~SimWorld();

  /// A simulated process of one executor. Lives until Kill() or the end of the world.
  SimExecutor* NewProcess();
  /// One more executor of the same process: it dies and is paused with it.
  SimExecutor* NewExecutor(SimExecutor* process);

  /// Runs what is due until `done`, or `limit` of simulated time passed, or nothing is left. True:
  /// `done`.
  bool RunUntil(const std::function<bool()>& done, Executor::Duration limit);

  Executor::Duration now() const { return now_; }
  /// Uniform in [0, n).
  uint64_t Random(uint64_t n) { return random_() % n; }
  bool Chance(double p) { return static_cast<double>(random_() >> 11) * 0x1p-53 < p; }
  uint64_t steps() const { return steps_; }
  /// A hash of the order in which everything ran: equal seeds give equal traces.
  uint64_t trace() const { return trace_; }

 private:
  friend class SimExecutor;
  struct Work {
    SimExecutor* on;
    std::function<void()> fn;
  };
  void Add(SimExecutor* on, Executor::Duration at, std::function<void()> fn);

  std::mt19937_64 random_;
  Executor::Duration now_{0};
  uint64_t next_ = 0;
  uint64_t steps_ = 0;
  uint64_t steps_here_ = 0;  ///< since the clock moved
  uint64_t trace_ = 0;
  std::map<std::pair<Executor::Duration, uint64_t>, Work> queue_;
  std::list<std::unique_ptr<SimExecutor>> executors_;
};

/// Raised at a crash point to end the process there.
struct SimCrash {
  std::string at;
};

class SimExecutor : public Executor {
 public:
  void Post(std::function<void()> fn) override { world_->Add(this, world_->now(), std::move(fn)); }
  void PostAfter(Duration delay, std::function<void()> fn) override {
    world_->Add(this, world_->now() + delay, std::move(fn));
  }
  void Offload(std::function<void()> blocking, std::function<void()> done) override;
  Duration Monotonic() const override { return world_->now(); }
  Micros Wall() const override { return kEpoch + world_->now().count() + process_->wall_shift; }
  uint64_t Random() override { return world_->Random(~uint64_t{0}); }
  void Spawn(Task<void> task) override;

  /// Moves this process's wall clock alone, as an operator would; backwards too.
  void ShiftWall(Micros by) { process_->wall_shift += by; }
  /// The process stands still for so long, as after SIGSTOP, and then goes on with what was due.
  void Pause(Duration d) { process_->paused_until = world_->now() + d; }
  bool paused() const { return world_->now() < process_->paused_until; }
  /// The process is gone: nothing it was doing goes on, and nothing more starts. Destroys its
  /// tasks, on all of its executors.
  void Kill();
  bool alive() const { return process_->alive; }
  /// What left a task as an exception; a test fails on it.
  const std::vector<std::string>& failures() const { return failures_; }

  /// 2001-01-01 UTC, where simulated wall clocks begin.
  static constexpr Micros kEpoch = 978'307'200 * kSecond;

 private:
  friend class SimWorld;
  /// What the executors of a process share.
  struct Process {
    bool alive = true;
    Duration paused_until{0};
    Micros wall_shift = 0;
    std::vector<SimExecutor*> executors;
  };
  SimExecutor(SimWorld* world, std::shared_ptr<Process> process)
      : world_(world), process_(std::move(process)) {
    process_->executors.push_back(this);
  }
  Task<void> Root(Task<void> task);
  void Run(const std::function<void()>& fn);

  SimWorld* world_;
  std::shared_ptr<Process> process_;
  std::list<Task<void>> tasks_;
  std::vector<std::string> failures_;
};

}  // namespace millrace::sim
