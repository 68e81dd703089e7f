#pragma once

#include "millrace/doctor/probe.h"
#include "millrace/objectstore/object_store.h"

namespace millrace::doctor {

/// Puts objects under a prefix of its own, tries with them what the port promises, and deletes
/// them.
class ObjectsProbe : public Probe {
 public:
  /// The store outlives it. `mark` belongs to this run alone: letters and digits.
  ObjectsProbe(ObjectStore* store, const std::string& mark)
      : store_(*store), prefix_("_millrace/doctor/" + mark + "/") {}

  Task<Findings> Run() override;

 private:
  Task<Status> PutAndGet(std::string key, std::string bytes);
  Task<Status> Lists(std::string key, bool wanted);
  Task<Status> IsGone(std::string key);

  ObjectStore& store_;
  const std::string prefix_;
};

}  // namespace millrace::doctor
