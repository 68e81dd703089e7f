#include "support/kafka_broker.h"

#include "support/catch.h"
#include "support/servers.h"

using namespace millrace;

TEST_CASE("a Kafka broker starts on free ports and keeps its topics when it is killed") {
  if (test::SkipWithout(test::KafkaBroker::Missing())) return;
  test::KafkaBroker broker;
  const std::string topics = "org.apache.kafka.tools.TopicCommand";
  broker.Tool(topics, {"--create", "--topic", "kept", "--partitions", "2"});
  broker.Kill();
  broker.Start();
  CHECK_THAT(broker.Tool(topics, {"--describe", "--topic", "kept"}),
             ContainsText("PartitionCount: 2"));
}
