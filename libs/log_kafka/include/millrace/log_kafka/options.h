#pragma once

#include <string>

#include "millrace/base/result.h"

namespace millrace::log_kafka {

/// How a client logs in and whether the connection is encrypted.
struct Security {
  enum class Login { kNone, kPlain, kScramSha256, kScramSha512 };

  bool tls = false;
  std::string ca_file;           ///< PEM; empty: the system's
  std::string certificate_file;  ///< PEM, of the client; empty: it shows none
  std::string key_file;          ///< PEM; belongs to the certificate
  std::string key_password;
  Login login = Login::kNone;
  std::string user;
  std::string password;
  /// Allows a login whose password anybody on the way can read.
  bool insecure = false;
};

struct Options {
  std::string brokers;  ///< host:port, several with commas between
  /// Under this consumer group the log commits progress. It also names the client to the broker.
  std::string group = "millrace";
  /// Of topics that are created, and the least that a check allows.
  int replication = 3;
  int min_insync_replicas = 2;
  Security security;
};

/// kInvalidArgument names the option that cannot be, and what to write instead.
Status Check(const Options& options);

}  // namespace millrace::log_kafka
