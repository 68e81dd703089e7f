#include "properties.h"

namespace millrace::log_kafka {
namespace {

using Login = Security::Login;

/// Up to 2.6.0 the library sends a wrong nonce, which brokers from 4.0 on refuse.
constexpr int kScramFrom = 0x02060100;

Error Wrong(std::string_view what, std::string_view option) {
  return InvalidArgument(what, {{"option", option}});
}

bool IsScram(Login login) { return login == Login::kScramSha256 || login == Login::kScramSha512; }

const char* Mechanism(Login login) {
  if (login == Login::kScramSha256) return "SCRAM-SHA-256";
  return login == Login::kScramSha512 ? "SCRAM-SHA-512" : "PLAIN";
}

const char* Protocol(const Security& security) {
  if (security.login == Login::kNone) return security.tls ? "ssl" : "plaintext";
  return security.tls ? "sasl_ssl" : "sasl_plaintext";
}

Status CheckTls(const Security& s) {
  if (!s.tls && !(s.ca_file.empty() && s.certificate_file.empty() && s.key_file.empty()))
    return Wrong("files for TLS are given but TLS is off: turn it on or leave them out", "tls");
  if (s.certificate_file.empty() != s.key_file.empty())
    return Wrong("a client's certificate and its key belong together: give both or none",
                 s.key_file.empty() ? "key_file" : "certificate_file");
  if (!s.key_password.empty() && s.key_file.empty())
    return Wrong("a password is given but no key that it opens", "key_password");
  return {};
}

Status CheckLogin(const Security& s) {
  if (s.login == Login::kNone) {
    if (s.user.empty() && s.password.empty()) return {};
    return Wrong("a user or password is given but no login: choose plain or scram", "login");
  }
  if (s.user.empty()) return Wrong("a login needs a user", "user");
  if (s.password.empty()) return Wrong("a login needs a password", "password");
  if (IsScram(s.login) && rd_kafka_version() < kScramFrom)
    return InvalidArgument(
        "this librdkafka cannot log in by SCRAM: use plain over TLS or a client's certificate",
        {{"option", "login"}, {"librdkafka", rd_kafka_version_str()}, {"needed", "2.6.1"}});
  if (s.login == Login::kPlain && !s.tls && !s.insecure)
    return Wrong("plain sends the password as it is: turn TLS on, or allow it with insecure",
                 "tls");
  return {};
}

}  // namespace

Status Check(const Options& options) {
  if (options.brokers.empty())
    return Wrong("no brokers are given: name some as host:port", "brokers");
  if (options.group.empty()) return Wrong("the group may not be empty", "group");
  if (options.min_insync_replicas < 1 || options.replication < options.min_insync_replicas)
    return InvalidArgument("a topic needs at least as many replicas as must be in sync",
                           {{"option", "min_insync_replicas"},
                            {"min_insync_replicas", options.min_insync_replicas},
                            {"replication", options.replication}});
  MILLRACE_TRY(CheckTls(options.security));
  return CheckLogin(options.security);
}

Properties ClientProperties(const Options& options) {
  const Security& s = options.security;
  Properties all = {
      {"bootstrap.servers", options.brokers},
      {"client.id", options.group},
      {"security.protocol", Protocol(s)},
      {"allow.auto.create.topics", "false"},
      {"socket.keepalive.enable", "true"},
      {"socket.timeout.ms", "10000"},
      {"reconnect.backoff.ms", "50"},
      {"reconnect.backoff.max.ms", "1000"},
      {"topic.metadata.refresh.interval.ms", "10000"},
  };
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) all.emplace_back(name, value);
  };
  add("ssl.ca.location", s.ca_file);
  add("ssl.certificate.location", s.certificate_file);
  add("ssl.key.location", s.key_file);
  add("ssl.key.password", s.key_password);
  if (s.login != Login::kNone) {
    add("sasl.mechanisms", Mechanism(s.login));
    add("sasl.username", s.user);
    add("sasl.password", s.password);
  }
  return all;
}

}  // namespace millrace::log_kafka
