#pragma once

#include <string>
#include <utility>
#include <vector>

#include "millrace/objectstore/object_store.h"

namespace millrace {

/// All objects below a prefix, a page at a time, so that a folder of a million holds little memory.
/// Objects that come or go meanwhile are seen or not.
class ObjectPager {
 public:
  ObjectPager(ObjectStore* store, std::string prefix) : store_(store), prefix_(std::move(prefix)) {}

  /// The next objects in order of keys; none at the end. After an error the same page is next.
  Task<Result<std::vector<ObjectInfo>>> Next() {
    if (at_end_) co_return std::vector<ObjectInfo>();
    MILLRACE_CO_ASSIGN(std::vector<ObjectInfo> page,
                       co_await store_->List(prefix_, after_, kMaxObjectsListed));
    at_end_ = page.size() < kMaxObjectsListed;
    if (!page.empty()) after_ = page.back().key;
    co_return page;
  }

 private:
  ObjectStore* const store_;
  const std::string prefix_;
  std::string after_;
  bool at_end_ = false;
};

}  // namespace millrace
