#pragma once

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/child_process.h"
#include "support/free_ports.h"
#include "support/temp_dir.h"

namespace millrace::test {

/// One PostgreSQL server in a temporary directory, and PgBouncer in transaction mode before it.
/// Both are there when the object is. Data is kept over Kill and Start.
class PostgresServer {
 public:
  /// Why none can be started here; empty: one can.
  static std::string Missing() {
    if (Programs().empty()) return "no PostgreSQL server";
    if (!std::filesystem::exists(kBouncer)) return "no PgBouncer";
    if (geteuid() == 0 && getpwnam("postgres") == nullptr) return "no user postgres";
    return "";
  }

  PostgresServer() {
    const auto ports = FreePorts();
    port_ = ports[0];
    bouncer_port_ = ports[1];
    std::ofstream(dir_.Sub("users.txt")) << "\"millrace\" \"\"\n";
    std::ofstream(dir_.Sub("pgbouncer.ini"))
        << "[databases]\npostgres = host=127.0.0.1 port=" << port_ << "\n[pgbouncer]\n"
        << "listen_addr = 127.0.0.1\nlisten_port = " << bouncer_port_ << "\nunix_socket_dir =\n"
        << "auth_type = trust\nauth_file = " << dir_.Sub("users.txt") << "\n"
        << "pool_mode = transaction\ndefault_pool_size = 3\nserver_login_retry = 1\n";
    GiveAway();
    ChildProcess init(AsUser({Programs() + "/initdb", "-D", dir_.Sub("db"), "-U", "millrace", "-A",
                              "trust", "-E", "UTF8", "--locale=C", "--no-sync"}));
    if (init.Wait() != 0) throw std::runtime_error("no PostgreSQL data: " + init.output());
    Start();
    bouncer_.emplace(AsUser({kBouncer, dir_.Sub("pgbouncer.ini")}));
    if (!bouncer_->WaitFor("process up", std::chrono::seconds(30)))
      throw std::runtime_error("PgBouncer does not start: " + bouncer_->output());
  }

  void Start() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    for (;;) {
      server_.emplace(
          AsUser({Programs() + "/postgres", "-D", dir_.Sub("db"), "-h", "127.0.0.1", "-p",
                  std::to_string(port_), "-c", "unix_socket_directories=", "-c", "fsync=off", "-c",
                  "full_page_writes=off", "-c", "shared_buffers=32MB", "-c", "max_connections=60",
                  "-c", "deadlock_timeout=200ms"}));
      if (server_->WaitFor("ready to accept connections", std::chrono::seconds(60))) return;
      // Processes of a server that was killed end a little later, and hold its memory until then.
      const bool remains = server_->output().find("in use") != std::string::npos;
      if (!remains || std::chrono::steady_clock::now() > deadline)
        throw std::runtime_error("PostgreSQL does not start: " + server_->output());
    }
  }
  /// At once, as when the machine goes. Its children notice and go too.
  void Kill() { server_.reset(); }

  int port() const { return port_; }
  /// Of the database behind any port of 127.0.0.1.
  static std::string Conninfo(int port) {
    return "host=127.0.0.1 port=" + std::to_string(port) + " user=millrace dbname=postgres";
  }
  std::string direct() const { return Conninfo(port_); }
  std::string pooled() const { return Conninfo(bouncer_port_); }

 private:
  static constexpr const char* kBouncer = "/usr/sbin/pgbouncer";

  /// The newest version's folder.
  static std::string Programs() {
    std::vector<std::string> found;
    std::error_code none;
    for (const auto& version : std::filesystem::directory_iterator("/usr/lib/postgresql", none)) {
      if (std::filesystem::exists(version.path() / "bin" / "postgres"))
        found.push_back((version.path() / "bin").string());
    }
    return found.empty() ? "" : *std::max_element(found.begin(), found.end());
  }

  /// Neither program runs as root.
  static std::vector<std::string> AsUser(std::vector<std::string> command) {
    if (geteuid() != 0) return command;
    const std::vector<std::string> as = {"setpriv", "--reuid=postgres", "--regid=postgres",
                                         "--init-groups", "--pdeathsig=KILL"};
    command.insert(command.begin(), as.begin(), as.end());
    return command;
  }
  void GiveAway() const {
    const passwd* user = geteuid() == 0 ? getpwnam("postgres") : nullptr;
    const std::string self = dir_.Sub("");
    if (user != nullptr && chown(self.c_str(), user->pw_uid, user->pw_gid) != 0)
      throw std::runtime_error("cannot give away " + self);
    for (const char* file : {"users.txt", "pgbouncer.ini"}) {
      if (user != nullptr && chown(dir_.Sub(file).c_str(), user->pw_uid, user->pw_gid) != 0)
        throw std::runtime_error("cannot give away " + self);
    }
  }

  TempDir dir_;
  int port_ = 0;
  int bouncer_port_ = 0;
  std::optional<ChildProcess> server_;
  std::optional<ChildProcess> bouncer_;
};

}  // namespace millrace::test
