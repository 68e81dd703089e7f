#include "millrace/log_kafka/options.h"

#include <librdkafka/rdkafka.h>

#include <functional>
#include <vector>

#include "millrace/log_kafka/kafka_log.h"
#include "support/catch.h"

using namespace millrace;
using log_kafka::Options;
using Login = log_kafka::Security::Login;

namespace {

Options Good() {
  Options options;
  options.brokers = "127.0.0.1:9092";
  return options;
}

Options WithLogin(Login login, bool tls) {
  Options options = Good();
  options.security.login = login;
  options.security.user = "user";
  options.security.password = "secret";
  options.security.tls = tls;
  return options;
}

}  // namespace

TEST_CASE("options that cannot work together are refused, and the message names one of them") {
  struct Case {
    std::string option;
    std::function<void(Options&)> change;
  };
  const std::vector<Case> cases = {
      {"brokers", [](Options& o) { o.brokers = ""; }},
      {"group", [](Options& o) { o.group = ""; }},
      {"min_insync_replicas", [](Options& o) { o.min_insync_replicas = 0; }},
      {"min_insync_replicas", [](Options& o) { o.replication = 1; }},
      {"tls", [](Options& o) { o.security.ca_file = "ca.pem"; }},
      {"tls", [](Options& o) { o.security.certificate_file = o.security.key_file = "client.pem"; }},
      {"key_file",
       [](Options& o) {
         o.security.tls = true;
         o.security.certificate_file = "client.pem";
       }},
      {"certificate_file",
       [](Options& o) {
         o.security.tls = true;
         o.security.key_file = "key.pem";
       }},
      {"key_password",
       [](Options& o) {
         o.security.tls = true;
         o.security.key_password = "secret";
       }},
      {"login", [](Options& o) { o.security.user = "user"; }},
      {"user", [](Options& o) { o.security.login = Login::kPlain; }},
      {"password",
       [](Options& o) {
         o.security.login = Login::kPlain;
         o.security.user = "user";
       }},
      {"tls", [](Options& o) { o = WithLogin(Login::kPlain, false); }},
  };
  CHECK(Check(Good()).ok());
  for (const Case& c : cases) {
    Options options = Good();
    c.change(options);
    const Status checked = Check(options);
    REQUIRE_FALSE(checked.ok());
    CHECK(checked.error().code == Code::kInvalidArgument);
    CHECK_THAT(checked.error().message, ContainsText("option=" + c.option));
    CHECK(checked.error().message.find("secret") == std::string::npos);
  }
}

TEST_CASE("a password travels in the open only where that is allowed") {
  CHECK(Check(WithLogin(Login::kPlain, true)).ok());
  Options open = WithLogin(Login::kPlain, false);
  open.security.insecure = true;
  CHECK(Check(open).ok());
}

TEST_CASE("scram is refused where the library's login would fail, with what to do instead") {
  const Status checked = Check(WithLogin(Login::kScramSha512, true));
  CHECK(checked.ok() == (rd_kafka_version() >= 0x02060100));
  if (!checked.ok()) CHECK_THAT(checked.error().message, ContainsText("plain over TLS"));
}

TEST_CASE("a file that is not there is told when the log is opened") {
  Options options = Good();
  options.security.tls = true;
  options.security.ca_file = "/nowhere/ca.pem";
  const auto log = log_kafka::KafkaLog::Open(options);
  REQUIRE_FALSE(log.ok());
  CHECK(log.error().code == Code::kInvalidArgument);
  CHECK_THAT(log.error().message, ContainsText("ssl.ca.location"));
}
