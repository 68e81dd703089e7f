#include "millrace/ingest/stream_directory.h"

#include <set>

namespace millrace::ingest {
namespace {

Task<bool> Passed() { co_return true; }

}  // namespace

Task<> StreamDirectory::Follow() {
  for (;;) {
    Tell();
    if (changes_.empty()) co_await changes_.filled().Wait();
  }
}

/// In the order of names and generations, so that a dropped stream goes before the one that got its
/// name.
void StreamDirectory::Tell() {
  const control::Changes changes = changes_.Take();
  std::set<Incarnation> streams = changes.streams;
  if (changes.everything) {
    for (const auto& [stream, spec] : told_) streams.insert(stream);
    for (const auto& [name, spec] : reader_.fold().streams())
      streams.insert({spec.name_space, spec.name, spec.generation});
  }
  for (const Incarnation& stream : streams) {
    const StreamSpec* there = reader_.fold().FindStream(stream);
    const auto told = told_.find(stream);
    if (there == nullptr && told != told_.end()) {
      executor_.Post([gateway = &gateway_, spec = told->second] { gateway->RemoveStream(spec); });
      told_.erase(told);
    }
    if (there != nullptr && told == told_.end()) {
      told_.emplace(stream, *there);
      executor_.Post([gateway = &gateway_, spec = *there] { gateway->SetStream(spec); });
    }
  }
}

Task<> StreamDirectory::Settle() {
  Tell();
  // Behind what was posted, now or by Follow() a moment ago.
  const bool passed = co_await RunOn(executor_, Passed());
  static_cast<void>(passed);
}

Task<Status> StreamDirectory::CatchUp() { return RunOn(control_, CatchUpHere()); }

Task<Status> StreamDirectory::CatchUpHere() {
  const Completion<Status> caught_up;
  waiting_.push_back(caught_up);
  if (!std::exchange(reading_, true)) Executor::Current().Spawn(ReadOn());
  const Status read = co_await caught_up;
  co_return read;
}

/// Who asks while the log is read may mean something later than its end, so the next reading is
/// for them.
Task<> StreamDirectory::ReadOn() {
  while (!waiting_.empty()) {
    const std::vector<Completion<Status>> served = std::exchange(waiting_, {});
    const Status read = co_await reader_.CatchUp();
    // Before the answers: the gateway hears of a stream first.
    Tell();
    for (const Completion<Status>& one : served) one.Set(read);
  }
  reading_ = false;
}

}  // namespace millrace::ingest
