#include "millrace/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <mutex>

#include "millrace/base/facts.h"

namespace millrace {
namespace {

spdlog::logger& Logger() {
  static const auto logger = [] {
    auto l = spdlog::stderr_logger_mt("millrace");
    l->set_pattern("%Y-%m-%dT%H:%M:%S.%fZ %l %v", spdlog::pattern_time_type::utc);
    return l;
  }();
  return *logger;
}

spdlog::level::level_enum Level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

}  // namespace

void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
  if (!Logger().should_log(Level(level))) return;
  std::string line(message);
  for (const LogField& f : fields)
    line.append(" ").append(f.key).append("=").append(FactText(f.value));
  Logger().log(Level(level), "{}", line);
}

void SetLogLevel(LogLevel level) { Logger().set_level(Level(level)); }

void LogRateLimit::Warn(std::string_view message, std::initializer_list<LogField> fields) {
  static std::mutex mutex;
  const double now =
      std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  long dropped = 0;
  {
    std::lock_guard lock(mutex);
    if (now - last_ < interval_seconds_) {
      ++dropped_;
      return;
    }
    last_ = now;
    dropped = std::exchange(dropped_, 0);
  }
  Log(LogLevel::kWarn, message, fields);
  if (dropped > 0)
    Log(LogLevel::kWarn, "similar warnings were not written",
        {{"count", dropped}, {"message", message}});
}

}  // namespace millrace
