#include "millrace/process/stop_signals.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>

namespace millrace::process {

struct StopSignals::State {
  std::mutex mutex;
  std::condition_variable changed;
  bool ready = false;
  bool stopped = false;
  int first = 0;
};

StopSignals::StopSignals(const char* program) : state_(std::make_shared<State>()) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // Ends with the process.
  std::thread([set, program, state = state_] {
    for (;;) {
      int signal = 0;
      sigwait(&set, &signal);
      const std::lock_guard lock(state->mutex);
      if (!state->ready || state->first != 0) {
        std::fprintf(stderr, "%s: stopped at once: %s\n", program,
                     state->ready ? "a second signal" : "it was still recovering");
        ::_exit(128 + signal);
      }
      state->first = signal;
      state->changed.notify_all();
    }
  }).detach();
}

void StopSignals::Ready() {
  const std::lock_guard lock(state_->mutex);
  state_->ready = true;
}

int StopSignals::Wait() {
  std::unique_lock lock(state_->mutex);
  state_->changed.wait(lock, [this] { return state_->first != 0 || state_->stopped; });
  return state_->first;
}

void StopSignals::Stop() {
  const std::lock_guard lock(state_->mutex);
  state_->stopped = true;
  state_->changed.notify_all();
}

}  // namespace millrace::process
