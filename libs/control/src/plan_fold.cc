#include "millrace/control/plan_fold.h"

#include "millrace/base/bytes.h"
#include "millrace/control/settings.h"

namespace millrace::control {

Incarnation StreamOf(const Fold& fold, const ShardId& shard) {
  const PipelineState& pipeline = fold.pipelines().at(shard.incarnation);
  const StreamSpec* stream = fold.FindStream(shard.incarnation.name_space, pipeline.spec.stream);
  return {stream->name_space, stream->name, stream->generation};
}

BundleId BundleOf(const Fold& fold, const ShardId& shard) {
  return {StreamOf(fold, shard).defined_at, shard.partition};
}

std::string InstanceName(const Process& process) {
  if (process.instance == 0) return {};
  return Hex({reinterpret_cast<const char*>(&process.instance), sizeof process.instance});
}

void AddBundles(const Fold& fold, PlanInput* input) {
  for (const auto& [id, shard] : fold.shards()) {
    if (shard.halt) continue;
    Bundle& bundle = input->bundles[BundleOf(fold, id)];
    const std::string owner = InstanceName(shard.worker);
    const bool lives = input->members.contains(owner);
    bundle.pinned = PinnedTo(fold, StreamOf(fold, id), id.partition);
    if (bundle.owner.empty() || (lives && !input->members.contains(bundle.owner)))
      bundle.owner = owner;
  }
}

std::vector<Assign> AssignsOf(const Fold& fold, const PlanInput& input, const Plan& plan,
                              const std::map<std::string, Process>& processes) {
  std::map<BundleId, std::string> owners;
  for (const auto& [id, bundle] : input.bundles) owners[id] = bundle.owner;
  for (const Move& move : plan.assigns) owners[move.bundle] = move.to;
  std::vector<Assign> assigns;
  for (const auto& [id, shard] : fold.shards()) {
    if (shard.halt) continue;
    const std::string& owner = owners.at(BundleOf(fold, id));
    const auto process = processes.find(owner);
    // Nobody can take it now.
    if (process == processes.end() || owner == InstanceName(shard.worker)) continue;
    assigns.push_back({{}, id, process->second, Epoch(shard.epoch.value + 1)});
  }
  return assigns;
}

}  // namespace millrace::control
