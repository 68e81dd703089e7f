#include "millrace/control/leader_watch.h"

#include "support/catch.h"

namespace millrace::control {
namespace {

using std::chrono::seconds;

struct Watched {
  bool Round(bool at_end = true, bool deaf = false) {
    return watch.Round(leader, now += seconds(1), at_end, deaf);
  }
  /// A round with a beat of the leader before it.
  bool Heard(bool deaf) {
    ++leader.k;
    return Round(true, deaf);
  }

  LeaderState leader{1, 5, {"a", 1}, false};
  LeaderWatch::Duration now{0};
  LeaderWatch watch{0};
};

}  // namespace

TEST_CASE_METHOD(Watched, "who watches claims after ten rounds without a record of the leader") {
  CHECK_FALSE(Round());
  for (int i = 1; i < LeaderWatch::kSilentRounds; ++i) CHECK_FALSE(Round());
  ++leader.k;
  for (int i = 0; i < LeaderWatch::kSilentRounds; ++i) CHECK_FALSE(Round());
  CHECK(Round());
}

TEST_CASE_METHOD(Watched, "a round that did not read the log to its end is no evidence") {
  CHECK_FALSE(Round());
  for (int i = 0; i < 50; ++i) CHECK_FALSE(Round(i % 10 != 9));
}

TEST_CASE_METHOD(Watched, "a watcher that was paused takes nobody for dead") {
  CHECK_FALSE(Round());
  for (int i = 1; i < LeaderWatch::kSilentRounds; ++i) CHECK_FALSE(Round());
  now += seconds(60);
  for (int i = 0; i < LeaderWatch::kSilentRounds; ++i) CHECK_FALSE(Round());
  CHECK(Round());
}

TEST_CASE_METHOD(Watched, "a leader that said that it goes is followed at once") {
  CHECK_FALSE(Round());
  ++leader.k;
  leader.left = true;
  CHECK_FALSE(Round(false));
  CHECK(Round());
}

TEST_CASE_METHOD(Watched,
                 "a leader that beats and answers no worker is followed after ten rounds") {
  CHECK_FALSE(Heard(true));
  for (int i = 1; i < LeaderWatch::kSilentRounds; ++i) CHECK_FALSE(Heard(true));
  CHECK_FALSE(Heard(false));
  for (int i = 1; i < LeaderWatch::kSilentRounds; ++i) CHECK_FALSE(Heard(true));
  CHECK(Heard(true));
  CHECK(watch.leader_is_deaf());
}

TEST_CASE_METHOD(Watched, "what the workers say of one leader is no evidence against the next") {
  CHECK_FALSE(Heard(true));
  for (int i = 1; i < LeaderWatch::kSilentRounds; ++i) CHECK_FALSE(Heard(true));
  ++leader.n;
  for (int i = 0; i < LeaderWatch::kSilentRounds; ++i) CHECK_FALSE(Heard(true));
  CHECK(Heard(true));
}

TEST_CASE("where nobody leads the first one that has read the log claims") {
  LeaderWatch watch(2);
  CHECK(watch.Round({}, seconds(1), true, false));
}

}  // namespace millrace::control
