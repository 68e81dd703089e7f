#include "sim/sim_world.h"

namespace millrace::sim {

SimWorld::~SimWorld() {
  for (auto& process : processes_) process->Kill();
  queue_.clear();
}

SimExecutor* SimWorld::NewProcess() {
  processes_.push_back(std::unique_ptr<SimExecutor>(new SimExecutor(this)));
  return processes_.back().get();
}

void SimWorld::Add(SimExecutor* on, Executor::Duration at, std::function<void()> fn) {
  if (!on->alive_) return;
  queue_.emplace(std::pair(at, next_++), Work{on, on->generation_, std::move(fn)});
}

bool SimWorld::RunUntil(const std::function<bool()>& done, Executor::Duration limit) {
  const auto end = now_ + limit;
  while (!done()) {
    if (queue_.empty() || queue_.begin()->first.first > end) {
      now_ = std::max(now_, end);
      return done();
    }
    const auto at = queue_.begin();
    now_ = at->first.first;
    const Work work = std::move(at->second);
    trace_ =
        (trace_ ^ at->first.second ^ static_cast<uint64_t>(now_.count())) * 0x9e3779b97f4a7c15ULL;
    queue_.erase(at);
    ++steps_;
    if (work.on->alive_) work.on->Run(work.fn);
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
    alive_ = false;
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
  alive_ = false;
  Executor* before = SetCurrent(this);
  tasks_.clear();
  SetCurrent(before);
  std::erase_if(world_->queue_, [this](const auto& entry) { return entry.second.on == this; });
}

}  // namespace millrace::sim
