#include "keychain.h"

#include <cstdlib>

#include "millrace/base/facts.h"
#include "millrace/base/system_error.h"
#include "sdk_keys.h"

namespace millrace::objectstore_s3 {
namespace {

constexpr std::chrono::minutes kKept{1};

/// A secret in a file of its own mostly ends with a line feed.
Result<std::string> Secret(const std::string& path, const char* option) {
  if (path.empty()) return std::string();
  const auto bytes = ReadWholeFile(path);
  if (!bytes.ok())
    return InvalidArgument("a file with credentials of the object store cannot be read",
                           {{"option", option}, {"error", bytes.error().message}});
  const size_t end = bytes->find_last_not_of(" \t\r\n");
  return end == std::string::npos ? std::string() : bytes->substr(0, end + 1);
}

std::string FromEnvironment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<Keys> OfFiles(const Credentials& c) {
  Keys keys;
  MILLRACE_ASSIGN(keys.access_key, Secret(c.access_key_file, "access_key_file"));
  MILLRACE_ASSIGN(keys.secret_key, Secret(c.secret_key_file, "secret_key_file"));
  MILLRACE_ASSIGN(keys.session_token, Secret(c.session_token_file, "session_token_file"));
  return keys;
}

const char* Remedy(Credentials::From from) {
  switch (from) {
    case Credentials::From::kFiles:
      return "the files with credentials of the object store are empty";
    case Credentials::From::kEnvironment:
      return "no credentials of the object store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    case Credentials::From::kValues:
    case Credentials::From::kSdkChain:
      break;
  }
  return "no credentials of the object store were found where the AWS SDK looks for them: "
         "configure "
         "an access key and a secret key, or files with them";
}

}  // namespace

Result<Keys> Keychain::Read() const {
  switch (credentials_.from) {
    case Credentials::From::kValues:
      return Keys{credentials_.access_key, credentials_.secret_key, credentials_.session_token};
    case Credentials::From::kFiles:
      return OfFiles(credentials_);
    case Credentials::From::kEnvironment:
      return Keys{FromEnvironment("AWS_ACCESS_KEY_ID"), FromEnvironment("AWS_SECRET_ACCESS_KEY"),
                  FromEnvironment("AWS_SESSION_TOKEN")};
    case Credentials::From::kSdkChain:
      return KeysOfSdk();
  }
  return Internal("unknown source of credentials");
}

Result<Keys> Keychain::Get() {
  std::lock_guard lock(mutex_);
  const auto now = std::chrono::steady_clock::now();
  if (keys_ && now - read_ < kKept) return *keys_;
  MILLRACE_ASSIGN(Keys keys, Read());
  if (keys.access_key.empty() || keys.secret_key.empty())
    return InvalidArgument(Remedy(credentials_.from));
  keys_ = keys;
  read_ = now;
  return keys;
}

void Keychain::Forget() {
  std::lock_guard lock(mutex_);
  keys_.reset();
}

}  // namespace millrace::objectstore_s3
