#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace millrace::test {

/// A program that runs until it ends or this object goes. Keeps what it printed.
class ChildProcess {
 public:
  explicit ChildProcess(std::vector<std::string> command) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe for " + command.at(0));
    std::vector<char*> argv;
    for (std::string& word : command) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_ = fork();
    if (pid_ < 0) throw std::runtime_error("cannot start " + command.at(0));
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that dies leaves nothing behind
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
      execvp(argv[0], argv.data());
      _exit(127);
    }
    close(ends[1]);
    reader_ = std::thread([this, from = ends[0]] { Read(from); });
  }
  ~ChildProcess() { Stop(SIGKILL); }
  ChildProcess(const ChildProcess&) = delete;

  /// Whether it printed `text` before it ended and before the deadline.
  bool WaitFor(const std::string& text, std::chrono::seconds deadline) {
    std::unique_lock lock(mutex_);
    const auto has = [&] { return output_.find(text) != std::string::npos; };
    printed_.wait_for(lock, deadline, [&] { return has() || ended_; });
    return has();
  }
  /// Waits for its end; gives the status of waitpid.
  int Wait() {
    if (reader_.joinable()) reader_.join();
    if (pid_ > 0) waitpid(pid_, &status_, 0);
    pid_ = 0;
    return status_;
  }
  void Signal(int signal) const {
    if (pid_ > 0) kill(pid_, signal);
  }
  void Stop(int signal) {
    Signal(signal);
    Wait();
  }
  std::string output() const {
    std::lock_guard lock(mutex_);
    return output_;
  }

 private:
  void Read(int from) {
    char buffer[4096];
    for (;;) {
      const ssize_t n = read(from, buffer, sizeof(buffer));
      std::lock_guard lock(mutex_);
      if (n <= 0) ended_ = true;
      if (n > 0) output_.append(buffer, static_cast<size_t>(n));
      printed_.notify_all();
      if (n <= 0) break;
    }
    close(from);
  }

  pid_t pid_ = 0;
  int status_ = 0;
  mutable std::mutex mutex_;
  std::condition_variable printed_;
  std::string output_;
  bool ended_ = false;
  std::thread reader_;
};

}  // namespace millrace::test
