#include "millrace/base/sha256.h"

#include <openssl/evp.h>

#include <array>

#include "millrace/base/bytes.h"
#include "millrace/base/check.h"

namespace millrace {

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  MILLRACE_CHECK(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1,
                 "libcrypto has no SHA-256");
}

Sha256::~Sha256() = default;

void Sha256::Add(std::string_view bytes) {
  MILLRACE_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1,
                 "SHA-256 took no more bytes");
}

std::string Sha256::HexDigest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  MILLRACE_CHECK(EVP_DigestFinal_ex(state_->context, digest.data(), &size) == 1,
                 "SHA-256 gave no digest");
  return Hex({reinterpret_cast<const char*>(digest.data()), size});
}

}  // namespace millrace
