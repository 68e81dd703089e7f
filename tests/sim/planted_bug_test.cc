#include <cstdio>

#include "millrace/base/log.h"
#include "millrace/base/planted.h"
#include "sim/cluster_history.h"
#include "sim/control_scenarios.h"
#include "sim/history.h"
#include "sim/moves.h"
#include "sim/other_log.h"
#include "support/catch.h"

namespace millrace::sim {

/// A proof that cannot fail proves nothing: this program is built with the mistakes in and plants
/// them one at a time.
TEST_CASE("the simulation finds every planted mistake") {
  SetLogLevel(LogLevel::kOff);
  constexpr uint64_t kPatience = 200;
  const char* bug = GENERATE("dedup_forgotten", "commit_before_upload", "file_ended_at_cut",
                             "fence_without_takeover", "batch_end_is_pulse", "clean_any_epoch");
  planted_bug = bug;
  uint64_t seed = 1;
  while (seed <= kPatience && Run(seed, 1.0).differences.empty()) ++seed;
  planted_bug = "";
  INFO("planted: " << bug);
  CHECK(seed <= kPatience);
  std::printf("planted %-24s found by seed %llu\n", bug, static_cast<unsigned long long>(seed));
}

TEST_CASE("the simulation finds every mistake planted in the gateway") {
  SetLogLevel(LogLevel::kOff);
  constexpr uint64_t kPatience = 200;
  const char* bug = GENERATE("ack_before_append", "order_forgotten", "chain_forgotten");
  planted_bug = bug;
  uint64_t seed = 1;
  while (seed <= kPatience && RunThroughGateway(seed, 0.2).differences.empty()) ++seed;
  planted_bug = "";
  INFO("planted: " << bug);
  CHECK(seed <= kPatience);
  std::printf("planted %-24s found by seed %llu\n", bug, static_cast<unsigned long long>(seed));
}

TEST_CASE("stories of one history each find mistakes that chance seldom meets") {
  SetLogLevel(LogLevel::kOff);
  struct Story {
    const char* bug;
    std::string (*tell)();
  };
  const Story story = GENERATE(
      Story{"no_k", LateDefinition}, Story{"fold_number", OvertakenLeader},
      Story{"owner_by_name", TwoOfOneName}, Story{"reopen_same_epoch", LateBatchOfAnEarlierLife},
      Story{"define_below_trim", DefineAgainstTrim}, Story{"floor_by_from", TrimAgainstSkipBack},
      Story{"delete_without_trim", DefineDuringTrim}, Story{"trim_without_floor", DefineDuringTrim},
      Story{"silence_by_clock_difference", PausedObserver},
      Story{"new_leader_assigns_living_owners", NewLeaderAmongLivingOwners},
      Story{"follower_behind_the_commits", FollowerBehindTheCommits},
      Story{"sweep_without_fold_end", SweepOfAnOvertakenLeader},
      Story{"halt_without_catching_up", ReplacedBeforeItKnows},
      Story{"fall_back_without_catching_up", SlowFollower},
      Story{"no_chain_hash", RunWithAnotherLog}, Story{"cut_while_unproved", RunThroughALongReplay},
      Story{"hash_not_in_file_name", RunWithAnotherFile},
      Story{"no_look_back", [] { return RunPastALostEnd(MissedBy::kPause); }},
      Story{"end_that_may_go_back", RunUpToALostEnd},
      Story{"first_numbers_by_read_fence", LateBatchOfAHaltedOwner},
      Story{"skip_of_another_epoch", SkipOfAnEarlierHalt},
      Story{"skip_without_pinning", BaseLostBehindAPinnedSkip},
      Story{"skip_without_voiding", FoundAgainBehindASkip},
      Story{"forward_halt_while_unproved", RunIntoDamageWhileUnproved});
  INFO("planted: " << story.bug);
  CHECK(story.tell() == "");
  planted_bug = story.bug;
  const std::string found = story.tell();
  planted_bug = "";
  CHECK(found != "");
  std::printf("planted %-24s found: %s\n", story.bug, found.c_str());
}

TEST_CASE("histories of clusters find every mistake that is planted in what they do") {
  SetLogLevel(LogLevel::kOff);
  constexpr uint64_t kPatience = 50;
  const char* bug =
      GENERATE("commit_without_epoch", "commit_without_cut_number", "cleaning_that_keeps_two",
               "clean_any_epoch", "checkpoint_ahead_of_store", "commit_before_upload",
               "fence_without_takeover", "fold_number");
  planted_bug = bug;
  uint64_t seed = 1;
  std::string found;
  for (; seed <= kPatience; ++seed) {
    try {
      found = RunCluster(seed).differences;
    } catch (const std::exception& broken) {
      found = std::string("a broken invariant: ") + broken.what();
    }
    if (!found.empty()) break;
  }
  planted_bug = "";
  INFO("planted: " << bug);
  CHECK(seed <= kPatience);
  std::printf("planted %-32s found by cluster seed %llu: %s\n", bug,
              static_cast<unsigned long long>(seed), found.substr(0, found.find('\n')).c_str());
  std::fflush(stdout);
}

TEST_CASE("with no mistake planted the same build finds nothing") {
  SetLogLevel(LogLevel::kOff);
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    INFO("seed " << seed);
    REQUIRE(Run(seed, 1.0).differences == "");
    REQUIRE(RunThroughGateway(seed, 0.2).differences == "");
  }
  for (uint64_t seed = 1; seed <= 5; ++seed) REQUIRE(RunCluster(seed).differences == "");
}

}  // namespace millrace::sim
