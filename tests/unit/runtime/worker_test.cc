#include "millrace/runtime/worker.h"

#include <set>

#include "support/catch.h"

namespace millrace::runtime {

TEST_CASE("partitions of one topic, and many topics of one partition, use every executor") {
  for (const size_t executors : {1u, 2u, 3u, 16u}) {
    std::set<size_t> of_one_topic;
    for (size_t p = 0; p < executors; ++p)
      of_one_topic.insert(ExecutorOf("orders", PartitionId(static_cast<int32_t>(p)), executors));
    CHECK(of_one_topic.size() == executors);
    std::set<size_t> of_many_topics;
    for (int n = 0; n < 200; ++n)
      of_many_topics.insert(ExecutorOf("topic-" + std::to_string(n), PartitionId(0), executors));
    CHECK(of_many_topics.size() == executors);
    CHECK(*of_many_topics.rbegin() == executors - 1);
  }
}

}  // namespace millrace::runtime
