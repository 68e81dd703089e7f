#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

namespace millrace {

enum class LogLevel { kDebug, kInfo, kWarn, kError, kOff };

/// One key=value fact of a log line.
struct LogField {
  std::string_view key;
  std::string value;

  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  template <typename T>
    requires std::is_arithmetic_v<T>
  LogField(std::string_view k, T v) : key(k), value(std::to_string(v)) {}
};

/// Writes `message` (a constant; what varies goes into `fields`) to standard error. Never per
/// record: count those. Threads: any.
void Log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {});
inline void LogInfo(std::string_view m, std::initializer_list<LogField> f = {}) {
  Log(LogLevel::kInfo, m, f);
}
inline void LogWarn(std::string_view m, std::initializer_list<LogField> f = {}) {
  Log(LogLevel::kWarn, m, f);
}
inline void LogError(std::string_view m, std::initializer_list<LogField> f = {}) {
  Log(LogLevel::kError, m, f);
}

/// Lines below `level` are dropped. Set once at start.
void SetLogLevel(LogLevel level);

/// Lets one line through per `interval_seconds` and says how many were dropped in between. One per
/// place; threads: any.
class LogRateLimit {
 public:
  explicit LogRateLimit(double interval_seconds) : interval_seconds_(interval_seconds) {}
  void Warn(std::string_view message, std::initializer_list<LogField> fields);

 private:
  double interval_seconds_;
  double last_ = -1e300;
  long dropped_ = 0;
};

}  // namespace millrace
