#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "admin.h"

namespace millrace::log_kafka {

/// Commits how far views have come, each view under a consumer group of its own. A thread of its
/// own asks the brokers, so that brokers that do not answer hold up nothing else. Of each view and
/// partition only the newest place waits.
/// Threads: any.
class ProgressNotes {
 public:
  ProgressNotes(std::shared_ptr<Admin> admin, std::string group);
  /// Commits what waits, until one commit fails.
  ~ProgressNotes();

  void Note(const Progress& progress);

 private:
  struct Waiting {
    std::map<Place, Offset> places;
    int failed = 0;
  };

  void Run();

  const std::shared_ptr<Admin> admin_;
  const std::string group_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Waiting> waiting_;  ///< by group
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace millrace::log_kafka
