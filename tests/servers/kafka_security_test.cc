#include <chrono>
#include <fstream>

#include "millrace/log_kafka/kafka_log.h"
#include "support/catch.h"
#include "support/certificates.h"
#include "support/kafka_broker.h"
#include "support/servers.h"
#include "support/test_executor.h"

using namespace millrace;
using log_kafka::KafkaLog;
using log_kafka::Security;

namespace {

std::vector<std::string> OfBroker(const test::Certificates& certificates) {
  return {"ssl.keystore.type=PEM", "ssl.keystore.location=" + certificates.File("server.both"),
          "ssl.truststore.type=PEM", "ssl.truststore.location=" + certificates.File("ca.pem")};
}

Result<OffsetRange> MakeAndAsk(const std::string& brokers, const Security& security) {
  test::TestExecutor executor(std::chrono::seconds(60));
  log_kafka::Options options;
  options.brokers = brokers;
  options.replication = options.min_insync_replicas = 1;
  options.security = security;
  const auto log = KafkaLog::Open(options).value();
  const Status made = executor.RunUntilDone(log->CreateTopic({"t", 1}));
  if (!made.ok()) return made.error();
  LogEntry entry{"", "x", {}};
  const auto appended = executor.RunUntilDone(log->Append("t", PartitionId(0), std::move(entry)));
  if (!appended.ok()) return appended.error();
  const auto reader = log->OpenReader("t", PartitionId(0), Offset(0));
  const auto batch = executor.RunUntilDone(reader->Next(1, std::chrono::microseconds(0)));
  if (!batch.ok()) return batch.error();
  return executor.RunUntilDone(log->Range("t", PartitionId(0)));
}

/// What an operator is told must hold the reason, not only that nothing came.
void CheckRefused(const Result<OffsetRange>& answer, const std::string& reason) {
  REQUIRE_FALSE(answer.ok());
  CHECK(answer.error().code == Code::kUnavailable);
  CHECK_THAT(answer.error().message, ContainsText(reason));
}

}  // namespace

TEST_CASE("a log in Kafka logs in by PLAIN over TLS, and says why it cannot") {
  if (test::SkipWithout(test::KafkaBroker::Missing())) return;
  const test::Certificates certificates;
  std::vector<std::string> properties = OfBroker(certificates);
  properties.push_back("sasl.enabled.mechanisms=PLAIN");
  properties.push_back(
      "listener.name.client.plain.sasl.jaas.config="
      "org.apache.kafka.common.security.plain.PlainLoginModule required user_alice=\"secret\";");
  const test::KafkaBroker broker("SASL_SSL", properties);
  Security security;
  security.tls = true;
  security.ca_file = certificates.File("ca.pem");
  security.login = Security::Login::kPlain;
  security.user = "alice";
  security.password = "secret";
  CHECK(MakeAndAsk(broker.address(), security).value().end == Offset(1));

  Security wrong = security;
  wrong.password = "guess";
  CheckRefused(MakeAndAsk(broker.address(), wrong), "Authentication failed");
  wrong = security;
  wrong.ca_file = certificates.File("other-ca.pem");
  CheckRefused(MakeAndAsk(broker.address(), wrong), "certificate verify failed");
}

TEST_CASE("a log in Kafka shows a certificate where the broker wants one") {
  if (test::SkipWithout(test::KafkaBroker::Missing())) return;
  const test::Certificates certificates;
  std::vector<std::string> properties = OfBroker(certificates);
  properties.push_back("listener.name.client.ssl.client.auth=required");
  const test::KafkaBroker broker("SSL", properties);
  Security security;
  security.tls = true;
  security.ca_file = certificates.File("ca.pem");
  CheckRefused(MakeAndAsk(broker.address(), security), "brokers_said=");
  security.certificate_file = certificates.File("client.pem");
  security.key_file = certificates.File("client.key");
  CHECK(MakeAndAsk(broker.address(), security).value().end == Offset(1));
}
