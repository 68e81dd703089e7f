#include "plan_world.h"
#include "support/catch.h"

// What an operator says of single bundles, and followers for good.

namespace millrace::control {
namespace {

TEST_CASE("a pinned bundle goes to the worker of that name, stays there, and leaves with it") {
  PlanWorld world(12, [](int, Ticks) { return kBusy / 50; });
  const std::string a = world.Join("a");
  const std::string b = world.Join("b");
  world.Run(120);
  const BundleId pinned = BundleNumber(3);
  Bundle& bundle = world.input.bundles.at(pinned);
  const std::string other = bundle.owner == a ? b : a;
  bundle.pinned = world.input.members.at(other).name;
  world.Run(30);
  CHECK(bundle.owner == other);
  // However busy that worker is.
  for (auto& [id, one] : world.input.bundles)
    if (one.owner == other) one.load = {kBusy / 3, kBusy / 3, true};
  world.Run(15 * 60);
  CHECK(bundle.owner == other);
  // Nobody waits for a worker that is not there.
  world.Leave(other, false);
  world.Run(30);
  CHECK(bundle.owner == (other == a ? b : a));
  const std::string again = world.Join(bundle.pinned);
  world.Run(30);
  CHECK(bundle.owner == again);
}

TEST_CASE("a pin to a worker that cannot take it moves nothing, and a drain goes before a pin") {
  PlanWorld world(4, [](int, Ticks) { return kBusy / 50; });
  const std::string a = world.Join("a");
  const std::string b = world.Join("b");
  world.Run(60);
  for (auto& [id, bundle] : world.input.bundles) bundle.pinned = "a";
  world.Run(60);
  CHECK_FALSE(world.Owns(b));
  world.input.members.at(a).draining = true;
  world.Run(60);
  CHECK_FALSE(world.Owns(a));
  const int moves = world.moves;
  world.Run(60);
  CHECK(world.moves == moves);
}

TEST_CASE("each bundle has a follower for good, which gets it when its owner dies") {
  PlanWorld world(30, [](int, Ticks) { return kBusy / 50; });
  world.input.followers = true;
  for (const char* name : {"a", "b", "c"}) world.Join(name);
  world.Run(60);
  std::map<std::string, int> follows;
  for (const auto& [id, bundle] : world.input.bundles) {
    const std::string& follower = world.memory.followers.at(id);
    CHECK(follower != bundle.owner);
    CHECK(world.input.members.contains(follower));
    ++follows[follower];
  }
  for (const auto& [follower, bundles] : follows) CHECK(bundles >= 8);
  const std::map<BundleId, std::string> before = world.memory.followers;
  world.Run(60);
  CHECK(world.memory.followers == before);

  const std::string dead = world.input.bundles.begin()->second.owner;
  std::map<BundleId, std::string> heirs;
  for (auto& [id, bundle] : world.input.bundles)
    if (bundle.owner == dead) heirs[id] = before.at(id);
  world.Leave(dead, false);
  world.input.now += 1000;
  for (auto& [id, bundle] : world.input.bundles) bundle.followers = {{before.at(id), true}};
  const Plan plan = PlanMoves(world.input, world.memory);
  CHECK(plan.assigns.size() == heirs.size());
  for (const Move& move : plan.assigns) CHECK(move.to == heirs.at(move.bundle));
  for (const auto& [id, follower] : plan.memory.followers) CHECK(follower != dead);
  CHECK(plan.memory.followers.size() == world.input.bundles.size());
  // It is nobody's wish to move anything.
  CHECK(plan.memory.wishes.empty());
  world.input.followers = false;
  CHECK(PlanMoves(world.input, plan.memory).memory.followers.empty());
}

}  // namespace
}  // namespace millrace::control
