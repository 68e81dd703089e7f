#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace millrace {

/// SHA-256 (FIPS 180-4) of bytes given piece by piece. Not for secrets.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;

  void Add(std::string_view bytes);
  /// 64 lower-case hexadecimal digits. Once; nothing may be added afterwards.
  std::string HexDigest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace millrace
