#pragma once

#include <stdexcept>
#include <string>

#include "support/child_process.h"
#include "support/temp_dir.h"

namespace millrace::test {

/// Runs it to its end; throws if it fails.
inline void Shell(const std::string& command) {
  ChildProcess shell({"bash", "-c", "set -e; " + command});
  if (shell.Wait() != 0) throw std::runtime_error(command + ": " + shell.output());
}

/// A certificate authority (ca.pem), and what it signed for a server on 127.0.0.1 and for a client:
/// NAME.key, NAME.pem and both in NAME.both. other-ca.pem signed neither.
class Certificates {
 public:
  Certificates() {
    const std::string in = "cd " + dir_.path().string() + "; ";
    for (const char* ca : {"ca", "other-ca"})
      Shell(in + "n=" + ca +
            "; openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$n -keyout $n.key "
            "-out $n.pem");
    for (const char* name : {"server", "client"})
      Shell(in + "n=" + name +
            "; openssl req -newkey rsa:2048 -nodes -subj /CN=$n -keyout $n.key "
            "-out $n.csr; echo subjectAltName=IP:127.0.0.1,DNS:127.0.0.1 > $n.ext; "
            "openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
            "-extfile $n.ext -out $n.pem; cat $n.key $n.pem > $n.both");
  }
  std::string File(const std::string& name) const { return dir_.Sub(name); }

 private:
  TempDir dir_;
};

}  // namespace millrace::test
