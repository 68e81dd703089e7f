#include <chrono>
#include <fstream>

#include "millrace/log_kafka/kafka_log.h"
#include "support/catch.h"
#include "support/kafka_broker.h"
#include "support/servers.h"
#include "support/test_executor.h"

using namespace millrace;
using log_kafka::KafkaLog;
using log_kafka::Security;

namespace {

void Shell(const std::string& command) {
  test::ChildProcess shell({"bash", "-c", "set -e; " + command});
  if (shell.Wait() != 0) throw std::runtime_error(command + ": " + shell.output());
}

/// A certificate authority, and what it signed for the broker and for a client.
class Certificates {
 public:
  Certificates() {
    const std::string in = "cd " + dir_.path().string() + "; ";
    Shell(in +
          "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key "
          "-out ca.pem");
    Shell(in +
          "cp ca.pem other-ca.pem; openssl req -x509 -newkey rsa:2048 -nodes -days 2 "
          "-subj /CN=other -keyout other.key -out other-ca.pem");
    for (const char* name : {"broker", "client"})
      Shell(in + "n=" + name +
            "; openssl req -newkey rsa:2048 -nodes -subj /CN=$n -keyout $n.key "
            "-out $n.csr; echo subjectAltName=IP:127.0.0.1,DNS:127.0.0.1 > $n.ext; "
            "openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
            "-extfile $n.ext -out $n.pem; cat $n.key $n.pem > $n.both");
  }
  std::string File(const std::string& name) const { return dir_.Sub(name); }
  std::vector<std::string> OfBroker() const {
    return {"ssl.keystore.type=PEM", "ssl.keystore.location=" + File("broker.both"),
            "ssl.truststore.type=PEM", "ssl.truststore.location=" + File("ca.pem")};
  }

 private:
  test::TempDir dir_;
};

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
  const Certificates certificates;
  std::vector<std::string> properties = certificates.OfBroker();
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
  const Certificates certificates;
  std::vector<std::string> properties = certificates.OfBroker();
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
