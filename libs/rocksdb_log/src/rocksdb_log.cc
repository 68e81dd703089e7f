#include "millrace/rocksdb_log/rocksdb_log.h"

#include <rocksdb/env.h>

#include <cstdarg>
#include <cstdio>

#include "millrace/base/log.h"

namespace millrace {
namespace {

class ErrorsToLog : public rocksdb::Logger {
 public:
  explicit ErrorsToLog(std::string folder)
      : Logger(rocksdb::InfoLogLevel::ERROR_LEVEL), folder_(std::move(folder)) {}

  using Logger::Logv;
  /// Only lines of ERROR_LEVEL and above come here.
  void Logv(const char* format, va_list arguments) override {
    char text[512];
    std::vsnprintf(text, sizeof text, format, arguments);
    limit_.Warn("RocksDB reports an error", {{"folder", folder_}, {"detail", text}});
  }

 private:
  std::string folder_;
  LogRateLimit limit_{10};
};

}  // namespace

std::shared_ptr<rocksdb::Logger> RocksDbErrorsToLog(std::string folder) {
  return std::make_shared<ErrorsToLog>(std::move(folder));
}

}  // namespace millrace
