#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "millrace/cli/console.h"

namespace millrace::cli {

/// Shows what `line` says while it lives: on a terminal one line that is written over, elsewhere a
/// line every few seconds. Nobody else may write to `console.err` meanwhile.
class Progress {
 public:
  Progress(const Console& console, std::function<std::string()> line);
  ~Progress();
  Progress(const Progress&) = delete;

 private:
  void Run();

  const Console& console_;
  const std::function<std::string()> line_;
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace millrace::cli
