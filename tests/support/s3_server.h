#pragma once

#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "millrace/objectstore_s3/options.h"
#include "support/certificates.h"
#include "support/child_process.h"
#include "support/free_ports.h"
#include "support/servers.h"
#include "support/temp_dir.h"

namespace millrace::test {

/// An S3 server over a temporary directory, with one bucket, `bucket`. It is there when the object
/// is, and keeps its objects over Kill and Start.
class S3Server {
 public:
  enum class Kind { kS3Proxy, kVersityGw };

  /// Why none can be started here; empty: one can.
  static std::string Missing() {
    if (!std::filesystem::exists(Folder() + "/stamp")) return "no S3 server in " + Folder();
    if (kKind == Kind::kVersityGw) return "";
    ChildProcess java({"java", "-version"});
    return java.Wait() == 0 ? "" : "no Java runtime";
  }

  /// That of this test program.
  static constexpr Kind kKind = Kind::MILLRACE_S3_SERVER;

  /// Whether the test must end because its server is not there.
  static bool Skip() {
    return SkipWithout(Missing(), kKind == Kind::kS3Proxy ? "--servers" : "--versitygw");
  }

  /// `certificates` outlive it; none: it speaks HTTP.
  explicit S3Server(const Certificates* certificates = nullptr)
      : certificates_(certificates), port_(FreePorts()[0]) {
    std::filesystem::create_directories(dir_.Sub("data/bucket"));
    if (kKind == Kind::kS3Proxy) Configure();
    Start();
  }

  void Start() {
    process_.emplace(kKind == Kind::kS3Proxy ? S3Proxy() : VersityGw());
    const char* ready = kKind == Kind::kS3Proxy ? "Started ogsoejs.Server@" : "listening on";
    if (!process_->WaitFor(ready, std::chrono::seconds(120)))
      throw std::runtime_error("the S3 server does not start: " + process_->output());
  }
  void Kill() { process_.reset(); }
  void Pause() const { process_->Signal(SIGSTOP); }
  void Resume() const { process_->Signal(SIGCONT); }

  int port() const { return port_; }
  /// Of a client that may do anything.
  objectstore_s3::Options options() const {
    objectstore_s3::Options options;
    options.endpoint =
        (certificates_ ? "https://127.0.0.1:" : "http://127.0.0.1:") + std::to_string(port_);
    options.bucket = "bucket";
    options.credentials.from = objectstore_s3::Credentials::From::kValues;
    options.credentials.access_key = kAccessKey;
    options.credentials.secret_key = kSecretKey;
    if (certificates_) options.ca_file = certificates_->File("ca.pem");
    return options;
  }
  /// Where an object's file lies.
  std::string FileOf(const std::string& key) const { return dir_.Sub("data/bucket/" + key); }

 private:
  static constexpr const char* kAccessKey = "millrace-tests";
  static constexpr const char* kSecretKey = "no/secret+at=all";

  static std::string Folder() {
    return std::string(MILLRACE_DEPS) + (kKind == Kind::kS3Proxy ? "/s3proxy" : "/versitygw");
  }

  void Configure() {
    std::ofstream out(dir_.Sub("s3proxy.properties"));
    const std::string address = "127.0.0.1:" + std::to_string(port_);
    if (certificates_) {
      Shell("openssl pkcs12 -export -inkey " + certificates_->File("server.key") + " -in " +
            certificates_->File("server.pem") + " -passout pass:secret -out " + dir_.Sub("store"));
      out << "s3proxy.secure-endpoint=https://" << address
          << "\ns3proxy.keystore-path=" << dir_.Sub("store")
          << "\ns3proxy.keystore-password=secret\n";
    } else {
      out << "s3proxy.endpoint=http://" << address << "\n";
    }
    out << "s3proxy.authorization=aws-v2-or-v4\ns3proxy.identity=" << kAccessKey
        << "\ns3proxy.credential=" << kSecretKey
        << "\ns3proxy.v4-max-non-chunked-request-size=134217728\n"
           "jclouds.provider=filesystem-nio2\njclouds.filesystem.basedir="
        << dir_.Sub("data") << "\n";
    std::ofstream(dir_.Sub("logback.xml"))
        << "<configuration><appender name='out' class='ch.qos.logback.core.ConsoleAppender'>"
           "<encoder><pattern>%level %msg%n</pattern></encoder></appender>"
           "<root level='info'><appender-ref ref='out'/></root></configuration>";
  }
  std::vector<std::string> S3Proxy() const {
    return {"java",
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dlogback.configurationFile=" + dir_.Sub("logback.xml"),
            "-cp",
            Folder() + "/*",
            "org.gaul.s3proxy.Main",
            "--properties",
            dir_.Sub("s3proxy.properties")};
  }
  std::vector<std::string> VersityGw() const {
    std::vector<std::string> command = {Folder() + "/versitygw",
                                        "--access",
                                        kAccessKey,
                                        "--secret",
                                        kSecretKey,
                                        "--port",
                                        "127.0.0.1:" + std::to_string(port_)};
    if (certificates_) {
      for (const char* word : {"--cert", "server.pem", "--key", "server.key"}) {
        const std::string text = word;
        command.push_back(text.starts_with("--") ? text : certificates_->File(text));
      }
    }
    command.insert(command.end(), {"posix", dir_.Sub("data")});
    return command;
  }

  const Certificates* const certificates_;
  const int port_;
  TempDir dir_;
  std::optional<ChildProcess> process_;
};

}  // namespace millrace::test
