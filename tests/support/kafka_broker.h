#pragma once

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/child_process.h"
#include "support/free_ports.h"
#include "support/temp_dir.h"

namespace millrace::test {

/// One Kafka broker, which is its own controller, in a temporary directory. It is there when the
/// object is, and keeps its data over Kill and Start.
class KafkaBroker {
 public:
  /// Why none can be started here; empty: one can.
  static std::string Missing() {
    if (!std::filesystem::exists(Jars() + "/stamp")) return "no Kafka broker in .deps/kafka";
    ChildProcess java({"java", "-version"});
    return java.Wait() == 0 ? "" : "no Java runtime";
  }

  /// `protocol` is that of the clients: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL.
  explicit KafkaBroker(const std::string& protocol = "PLAINTEXT",
                       const std::vector<std::string>& properties = {}) {
    const auto [clients, brokers, controller] = FreePorts();
    address_ = "127.0.0.1:" + std::to_string(clients);
    const auto at = [](int port) { return "127.0.0.1:" + std::to_string(port); };
    const std::string listeners =
        "CLIENT://" + at(clients) + ",BROKER://" + at(brokers) + ",CONTROLLER://" + at(controller);
    std::ofstream out(Config());
    out << "process.roles=broker,controller\nnode.id=1\n"
        << "controller.quorum.bootstrap.servers=" << at(controller) << "\n"
        << "listeners=" << listeners << "\nadvertised.listeners=" << listeners << "\n"
        << "controller.listener.names=CONTROLLER\ninter.broker.listener.name=BROKER\n"
        << "listener.security.protocol.map=CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT,CLIENT:"
        << protocol << "\n"
        << "log.dirs=" << dir_.Sub("log") << "\n"
        << kSmallAndQuick;
    for (const std::string& line : properties) out << line << "\n";
    out.close();
    std::ofstream(dir_.Sub("log4j2.properties")) << kLogToStdout;
    ChildProcess format(Java({"kafka.tools.StorageTool", "format", "--standalone", "-t",
                              "bWlsbHJhY2UtdGVzdHMtMQ", "-c", Config()}));
    if (format.Wait() != 0) throw std::runtime_error("no Kafka storage: " + format.output());
    Start();
  }

  void Start() {
    process_.emplace(Java({"kafka.Kafka", Config()}));
    if (!process_->WaitFor("Kafka Server started", std::chrono::seconds(120)))
      throw std::runtime_error("the Kafka broker does not start: " + process_->output());
  }
  void Kill() { process_.reset(); }
  void Pause() const { process_->Signal(SIGSTOP); }
  void Resume() const { process_->Signal(SIGCONT); }

  /// host:port, as clients are told it.
  const std::string& address() const { return address_; }
  /// A directory that goes with the broker.
  const TempDir& dir() const { return dir_; }

  /// Runs one of Kafka's own tools to its end and gives what it printed.
  std::string Tool(const std::string& name, std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {name, "--bootstrap-server", address_});
    ChildProcess tool(Java(std::move(arguments)));
    if (tool.Wait() != 0) throw std::runtime_error(name + ": " + tool.output());
    return tool.output();
  }

 private:
  static constexpr const char* kSmallAndQuick =
      "num.network.threads=2\nnum.io.threads=2\nbackground.threads=2\n"
      "num.replica.alter.log.dirs.threads=1\nnum.recovery.threads.per.data.dir=1\n"
      "log.cleaner.dedupe.buffer.size=8388608\nauto.create.topics.enable=false\n"
      "offsets.topic.num.partitions=1\noffsets.topic.replication.factor=1\n"
      "transaction.state.log.num.partitions=1\ntransaction.state.log.replication.factor=1\n"
      "transaction.state.log.min.isr=1\nshare.coordinator.state.topic.num.partitions=1\n"
      "share.coordinator.state.topic.replication.factor=1\n"
      "share.coordinator.state.topic.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n"
      "broker.session.timeout.ms=2000\nbroker.heartbeat.interval.ms=300\n"
      "controller.quorum.election.timeout.ms=300\ncontroller.quorum.fetch.timeout.ms=1000\n"
      "log.segment.bytes=16777216\nlog.index.size.max.bytes=1048576\n"
      "log.retention.check.interval.ms=1000\nlog.initial.task.delay.ms=500\n"
      "log.segment.delete.delay.ms=1000\n";
  static constexpr const char* kLogToStdout =
      "status=error\nappender.out.type=Console\nappender.out.name=out\n"
      "appender.out.layout.type=PatternLayout\nappender.out.layout.pattern=[%d] %p %m (%c)%n\n"
      "rootLogger.level=info\nrootLogger.appenderRefs=out\nrootLogger.appenderRef.out.ref=out\n";

  static std::string Jars() { return std::string(MILLRACE_DEPS) + "/kafka"; }
  std::string Config() const { return dir_.Sub("server.properties"); }
  std::vector<std::string> Java(std::vector<std::string> words) const {
    const std::vector<std::string> java = {
        "java",
        "-Xmx384m",
        "-Xms64m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xshare:auto",
        "-Djava.awt.headless=true",
        "-Dlog4j2.configurationFile=" + dir_.Sub("log4j2.properties"),
        "-cp",
        Jars() + "/*"};
    words.insert(words.begin(), java.begin(), java.end());
    return words;
  }

  TempDir dir_;
  std::string address_;
  std::optional<ChildProcess> process_;
};

}  // namespace millrace::test
