#include "sim/sim_world.h"

#include "millrace/base/check.h"

namespace millrace::sim {
namespace {

/// Steps without any time between them.
constexpr uint64_t kMostStepsAtOnce = 1'000'000;

}  // namespace

SimWorld::~SimWorld() {
  for (auto& executor : executors_) executor->Kill();
  queue_.clear();
}

SimExecutor* SimWorld::NewProcess() {
  auto process = std::make_shared<SimExecutor::Process>();
  executors_.push_back(std::unique_ptr<SimExecutor>(new SimExecutor(this, std::move(process))));
  return executors_.back().get();
}

SimExecutor* SimWorld::NewExecutor(SimExecutor* process) {
  executors_.push_back(std::unique_ptr<SimExecutor>(new SimExecutor(this, process->process_)));
  return executors_.back().get();
}

void SimWorld::Add(SimExecutor* on, Executor::Duration at, std::function<void()> fn) {
  if (!on->alive()) return;
  queue_.emplace(std::pair(at, next_++), Work{on, std::move(fn)});
}

bool SimWorld::RunUntil(const std::function<bool()>& done, Executor::Duration limit) {
  const auto end = now_ + limit;
  while (!done()) {
    if (queue_.empty() || queue_.begin()->first.first > end) {
      now_ = std::max(now_, end);
      return done();
    }
    const auto at = queue_.begin();
    if (now_ != at->first.first) steps_here_ = 0;
    MILLRACE_CHECK(++steps_here_ < kMostStepsAtOnce, "a task goes round and round without a wait");
    now_ = at->first.first;
    Work work = std::move(at->second);
    trace_ =
        (trace_ ^ at->first.second ^ static_cast<uint64_t>(now_.count())) * 0x9e3779b97f4a7c15ULL;
    queue_.erase(at);
    ++steps_;
    if (work.on->paused()) {
      Add(work.on, work.on->process_->paused_until, std::move(work.fn));
    } else if (work.on->alive()) {
      work.on->Run(work.fn);
    }
  }
  return true;
}

void SimExecutor::Run(const std::function<void()>& fn) {
  Executor* before = SetCurrent(this);
  try {
    fn();
  } catch (const SimCrash&) {
    SetCurrent(before);
    Kill();
    return;
  }
  tasks_.remove_if([](const Task<void>& t) { return t.done(); });
  SetCurrent(before);
}

void SimExecutor::Offload(std::function<void()> blocking, std::function<void()> done) {
  PostAfter(Duration(world_->Random(2000)),
            [blocking = std::move(blocking), done = std::move(done)] {
              blocking();
              done();
            });
}

Task<void> SimExecutor::Root(Task<void> task) {
  try {
    co_await std::move(task);
  } catch (const SimCrash&) {
    process_->alive = false;
  } catch (const std::exception& e) {
    failures_.emplace_back(e.what());
  }
}

void SimExecutor::Spawn(Task<void> task) {
  Post([this, held = std::make_shared<Task<void>>(std::move(task))] {
    tasks_.push_back(Root(std::move(*held)));
    const auto handle = tasks_.back().handle();
    handle.resume();
  });
}

void SimExecutor::Kill() {
  process_->alive = false;
  for (SimExecutor* executor : process_->executors) {
    Executor* before = SetCurrent(executor);
    executor->tasks_.clear();
    SetCurrent(before);
  }
  std::erase_if(world_->queue_,
                [this](const auto& entry) { return entry.second.on->process_ == process_; });
}

}  // namespace millrace::sim
