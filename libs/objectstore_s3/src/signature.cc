#include "signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

#include "millrace/base/check.h"
#include "millrace/base/sha256.h"

namespace millrace::objectstore_s3 {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";
constexpr char kUpperDigits[] = "0123456789ABCDEF";
constexpr char kLowerDigits[] = "0123456789abcdef";

std::string Hmac(std::string_view key, std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  MILLRACE_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                      reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                      digest.data(), &size) != nullptr,
                 "HMAC");
  return {reinterpret_cast<const char*>(digest.data()), size};
}

std::string Hex(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) {
    hex += kLowerDigits[static_cast<uint8_t>(c) >> 4];
    hex += kLowerDigits[static_cast<uint8_t>(c) & 15];
  }
  return hex;
}

std::string HexSha256(std::string_view text) {
  Sha256 sum;
  sum.Add(text);
  return sum.HexDigest();
}

}  // namespace

std::string PercentEncoded(std::string_view text, bool keep_slash) {
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash);
    if (plain) {
      encoded += c;
      continue;
    }
    encoded += '%';
    encoded += kUpperDigits[static_cast<uint8_t>(c) >> 4];
    encoded += kUpperDigits[static_cast<uint8_t>(c) & 15];
  }
  return encoded;
}

std::string QueryText(const std::map<std::string, std::string>& query) {
  std::string text;
  for (const auto& [name, value] : query) {
    if (!text.empty()) text += '&';
    text += PercentEncoded(name, false) + "=" + PercentEncoded(value, false);
  }
  return text;
}

std::string BasicTimestamp(Micros time) {
  const std::string full = FormatTimestamp(time);  // 2013-05-24T00:00:00.000000Z
  return full.substr(0, 4) + full.substr(5, 2) + full.substr(8, 5) + full.substr(14, 2) +
         full.substr(17, 2) + "Z";
}

std::string Authorization(const Signed& request, const Keys& keys, std::string_view region,
                          Micros time) {
  std::string headers, names;
  for (const auto& [name, value] : request.headers) {
    headers += name + ":" + value + "\n";
    names += (names.empty() ? "" : ";") + name;
  }
  const std::string canonical = request.method + "\n" + request.path + "\n" +
                                QueryText(request.query) + "\n" + headers + "\n" + names + "\n" +
                                request.body_sha256;
  const std::string timestamp = BasicTimestamp(time);
  const std::string date = timestamp.substr(0, 8);
  const std::string scope = date + "/" + std::string(region) + "/s3/aws4_request";
  const std::string to_sign =
      std::string(kAlgorithm) + "\n" + timestamp + "\n" + scope + "\n" + HexSha256(canonical);
  const std::string key =
      Hmac(Hmac(Hmac(Hmac("AWS4" + keys.secret_key, date), region), "s3"), "aws4_request");
  return std::string(kAlgorithm) + " Credential=" + keys.access_key + "/" + scope +
         ",SignedHeaders=" + names + ",Signature=" + Hex(Hmac(key, to_sign));
}

}  // namespace millrace::objectstore_s3
