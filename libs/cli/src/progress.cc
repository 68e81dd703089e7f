#include "progress.h"

#include <chrono>

namespace millrace::cli {
namespace {

constexpr auto kOnTerminal = std::chrono::milliseconds(200);
constexpr auto kElsewhere = std::chrono::seconds(5);
constexpr const char* kClearLine = "\r\x1b[K";

}  // namespace

Progress::Progress(const Console& console, std::function<std::string()> line)
    : console_(console), line_(std::move(line)), thread_([this] { Run(); }) {}

Progress::~Progress() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  stopped_.notify_all();
  thread_.join();
  if (console_.err_is_terminal) console_.err << kClearLine << std::flush;
}

void Progress::Run() {
  std::unique_lock lock(mutex_);
  const std::chrono::milliseconds every = console_.err_is_terminal ? kOnTerminal : kElsewhere;
  while (!stopped_.wait_for(lock, every, [this] { return stop_; })) {
    if (console_.err_is_terminal) {
      console_.err << kClearLine << line_() << std::flush;
    } else {
      console_.Note(line_());
    }
  }
}

}  // namespace millrace::cli
