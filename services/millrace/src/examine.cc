#include "examine.h"

#include <stdlib.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "millrace/adapters/examine.h"
#include "millrace/driver/thread_driver.h"
#include "millrace/process/settings.h"

namespace millrace {
namespace {

namespace fs = std::filesystem;

/// A folder that goes with this object.
struct Scratch {
  ~Scratch() {
    std::error_code kept;
    if (!path.empty()) fs::remove_all(path, kept);
  }
  std::string path;
};

/// Where the data directory is, or would be made. It is not made here.
fs::path NearestFolder(const std::string& data_dir) {
  fs::path at = fs::absolute(data_dir);
  std::error_code none;
  while (!fs::exists(at, none) && at != at.root_path()) at = at.parent_path();
  return at;
}

}  // namespace

Result<doctor::Findings> ExamineStores(const config::Sources& sources) {
  MILLRACE_ASSIGN(const process::Settings settings, process::LoadSettings(sources, {}));
  const adapters::Options& stores = settings.stores;
  const bool files = stores.log == adapters::LogKind::kEmbedded ||
                     stores.objects == adapters::ObjectsKind::kDirectory ||
                     stores.serving == adapters::ServingKind::kSqlite;
  if (files && settings.data_dir.empty())
    return InvalidArgument(
        "no data directory is given: add --data-dir DIR, or process.data_dir to the configuration");
  Scratch scratch;
  if (!settings.data_dir.empty()) {
    scratch.path = (NearestFolder(settings.data_dir) / ".millrace-doctor-XXXXXX").string();
  }
  if (!scratch.path.empty() && mkdtemp(scratch.path.data()) == nullptr) {
    scratch.path.clear();
    return doctor::Findings{{"disk", "write", doctor::Grade::kFail,
                             "no folder can be made: " + std::string(std::strerror(errno)),
                             "let the user of Millrace write there: " + settings.data_dir}};
  }
  ThreadDriver driver({.cores = 1, .blocking_threads = 2, .on_failure = {}});
  doctor::Findings findings = RunBlocking(driver.core(0), adapters::Examine(stores, scratch.path));
  driver.Stop();
  return findings;
}

}  // namespace millrace
