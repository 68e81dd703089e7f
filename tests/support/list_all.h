#pragma once

#include <string>
#include <utility>
#include <vector>

#include "millrace/objectstore/object_pager.h"

namespace millrace::test {

/// Every object below a prefix.
inline Task<Result<std::vector<ObjectInfo>>> ListAll(ObjectStore* store, std::string prefix) {
  ObjectPager pager(store, std::move(prefix));
  std::vector<ObjectInfo> all;
  for (;;) {
    auto page = co_await pager.Next();
    if (!page.ok()) co_return page.error();
    if (page->empty()) co_return all;
    for (ObjectInfo& object : *page) all.push_back(std::move(object));
  }
}

}  // namespace millrace::test
