#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "millrace/checkpoint/manifest.h"
#include "millrace/control/fold.h"
#include "millrace/objectstore/in_memory_object_store.h"
#include "sim/archived_log.h"

namespace millrace::sim {

/// An object store that looks at every deletion: no kept checkpoint may name what is deleted, and a
/// checkpoint that counts names only what is there. Faults that a test makes are not looked at.
class KeptObjects : public InMemoryObjectStore {
 public:
  explicit KeptObjects(ArchivedLog* log) : log_(*log) {}

  Task<Status> Put(std::string key, Buffer data) override;
  Task<Status> Delete(std::string key) override;
  /// A fault of the store itself.
  Task<Status> Lose(std::string key);

  /// Reads on in the control log and checks the commits that came since.
  Task<Status> Look();
  /// Of the control log, as of the last look.
  const control::Fold& fold() const { return fold_; }
  /// What must not be; empty: nothing.
  const std::vector<std::string>& wrong() const { return wrong_; }

 private:
  void Wrong(const std::string& what);

  ArchivedLog& log_;
  control::Fold fold_;
  Offset read_to_{0};
  /// Of all manifests that were ever put, what each names, itself too.
  std::map<std::string, std::set<std::string>> named_by_;
  std::set<std::string> lost_;
  std::vector<std::string> wrong_;
};

}  // namespace millrace::sim
