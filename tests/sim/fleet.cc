#include "sim/fleet.h"

#include <algorithm>

namespace millrace::sim {

Fleet::Fleet(SimWorld* world, Cluster* cluster, runtime::Options options,
             std::vector<Member> members)
    : world_(world), cluster_(cluster), options_(options) {
  for (Member& member : members) slots_.push_back({std::move(member), nullptr, nullptr, {}, {}});
  for (Slot& slot : slots_) Start(&slot);
}

void Fleet::Start(Slot* slot) {
  slot->links = &links_.emplace_back(cluster_, &cluster_->network(), &cluster_->faults);
  Process::Setup setup{slot->member.name, options_, slot->member.role, slot->member.executors};
  const auto has = [](const Member& member, Process::Role role) {
    return member.role == role || member.role == Process::Role::kAll;
  };
  for (size_t i = 0; i < slots_.size() && has(slot->member, Process::Role::kWorker); ++i) {
    if (&slots_[i] == slot || !has(slots_[i].member, Process::Role::kCoordinator)) continue;
    setup.coordinators.emplace_back([this, i]() -> CoordinatorAt {
      Process* const p = slots_[i].process.get();
      if (p == nullptr) return {};
      return {&p->executor(), &p->coordinator()};
    });
  }
  slot->process = std::make_unique<Process>(world_, cluster_, slot->links, std::move(setup));
  slot->away = Executor::Duration(0);
}

void Fleet::ForEach(const std::function<void(Process*)>& visit) {
  for (const Slot& slot : slots_)
    if (slot.process && slot.process->alive()) visit(slot.process.get());
  for (const auto& process : replaced_)
    if (process->alive()) visit(process.get());
}

Process* Fleet::Leader() {
  const auto leads = [](const std::unique_ptr<Process>& p) {
    return p && p->alive() && !p->executor().paused() && p->leads();
  };
  for (const Slot& slot : slots_)
    if (leads(slot.process)) return slot.process.get();
  for (const auto& process : replaced_)
    if (leads(process)) return process.get();
  return nullptr;
}

void Fleet::Crash(size_t i, Executor::Duration within, Executor::Duration away) {
  Slot& slot = slots_[i];
  if (!slot.process || !slot.process->alive()) return;
  Note("crash");
  slot.away = away;
  slot.process->AnyExecutor()->PostAfter(
      Executor::Duration(world_->Random(static_cast<uint64_t>(within.count()) + 1)),
      [] { throw SimCrash{"random"}; });
}

void Fleet::Drain(size_t i, Executor::Duration away) {
  Slot& slot = slots_[i];
  if (!slot.process || !slot.process->alive() || !slot.process->started()) return;
  Note("stop in order");
  slot.away = away;
  slot.process->executor().Spawn(slot.process->Drain());
}

void Fleet::Pause(size_t i, Executor::Duration d, bool successor) {
  Slot& slot = slots_[i];
  if (!slot.process || !slot.process->alive() || slot.process->executor().paused()) return;
  Note(successor ? "pause, with a successor" : "pause");
  slot.process->executor().Pause(d);
  if (!successor) return;
  replaced_.push_back(std::move(slot.process));
  Start(&slot);
}

Link& Fleet::LinkTo(Links* links, size_t store) {
  if (store == 0) return links->log.link();
  return store == 1 ? links->objects.link() : links->serving.link();
}

void Fleet::Break(size_t i, size_t store, bool there, bool back, Executor::Duration d) {
  Note("link to a store broken");
  LinkTo(slots_[i].links, store).Break(there, back, d);
  broken_until_ = std::max(broken_until_, world_->now() + d);
}

void Fleet::CutOff(size_t i, bool there, bool back, Executor::Duration d) {
  Process* const p = slots_[i].process.get();
  if (p == nullptr || p->links() == 0) return;
  Note("link to coordinators broken");
  for (size_t link = 0; link < p->links(); ++link)
    if (world_->Chance(0.7)) p->way_to_coordinator(link).Break(there, back, d);
  broken_until_ = std::max(broken_until_, world_->now() + d);
}

void Fleet::Step() {
  for (Slot& slot : slots_) {
    if (slot.process && !slot.process->alive()) {
      slot.process.reset();
      slot.start_at = world_->now() + slot.away;
    }
    if (!slot.process && world_->now() >= slot.start_at) Start(&slot);
  }
  replaced_.remove_if([](const auto& process) { return !process->alive(); });
}

void Fleet::Heal() {
  for (Slot& slot : slots_) {
    slot.away = Executor::Duration(0);
    slot.start_at = world_->now();
  }
  Step();
}

bool Fleet::whole() const {
  return world_->now() >= broken_until_ &&
         std::none_of(
             slots_.begin(), slots_.end(),
             [](const Slot& slot) { return !slot.process || slot.process->executor().paused(); }) &&
         std::none_of(replaced_.begin(), replaced_.end(),
                      [](const auto& process) { return process->executor().paused(); });
}

}  // namespace millrace::sim
