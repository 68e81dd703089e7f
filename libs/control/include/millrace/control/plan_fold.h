#pragma once

#include <map>
#include <string>
#include <vector>

#include "millrace/control/fold.h"
#include "millrace/control/plan_moves.h"

namespace millrace::control {

/// The name of a process's instance in plans. Empty: of no process.
std::string InstanceName(const Process& process);

/// The stream, and the bundle, of a shard that the fold has.
Incarnation StreamOf(const Fold& fold, const ShardId& shard);
BundleId BundleOf(const Fold& fold, const ShardId& shard);

/// Adds the standing shards to a plan's input, as bundles, but for those that halted: what halted
/// them is for an operator to see to. A bundle's owner is that of its first
/// shard with an owner among the members, or of its first shard.
void AddBundles(const Fold& fold, PlanInput* input);

/// The Assign records, not stamped yet, by which every shard of a bundle gets the bundle's owner:
/// the one that the plan names, else the one that it has. None for a shard that halted.
/// `processes`: the members, by instance.
std::vector<Assign> AssignsOf(const Fold& fold, const PlanInput& input, const Plan& plan,
                              const std::map<std::string, Process>& processes);

}  // namespace millrace::control
