#pragma once

#include <chrono>
#include <string>

#include "millrace/base/result.h"

namespace millrace::objectstore_s3 {

/// Who asks. Secrets never stand in a message.
struct Credentials {
  enum class From {
    kValues,       ///< what stands here
    kFiles,        ///< the files named here, read again each minute
    kEnvironment,  ///< AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
    kSdkChain,  ///< where the AWS SDK looks: environment, profile, web identity, container, machine
  };

  From from = From::kSdkChain;
  std::string access_key;
  std::string secret_key;
  std::string session_token;  ///< empty: the keys are not temporary
  std::string access_key_file;
  std::string secret_key_file;
  std::string session_token_file;
};

/// How the store encrypts what it keeps. Reading needs no setting but for a key of one's own.
struct Encryption {
  enum class By {
    kBucket,       ///< nothing is asked for: the bucket's own setting holds
    kStoreKey,     ///< SSE-S3: a key of the store
    kKmsKey,       ///< SSE-KMS
    kCustomerKey,  ///< SSE-C: the key goes with each request, so it needs TLS
  };

  By by = By::kBucket;
  std::string kms_key_id;         ///< empty: the account's default key
  std::string customer_key_file;  ///< 32 bytes, as they are
};

/// Whether puts carry a checksum (CRC-32C) that the store keeps. Every request has the SHA-256 of
/// its body in its signature, so the bytes are checked on their way in any case. Several stores
/// refuse the headers of the former.
enum class Checksum {
  kAuto,  ///< kWhenSupported on AWS, else kWhenRequired
  kWhenRequired,
  kWhenSupported,
};

/// How a bucket is named in an address: https://host/bucket/key or https://bucket.host/key.
enum class Addressing {
  kAuto,  ///< kVirtualHost on AWS if the bucket's name has no dot, else kPath
  kPath,
  kVirtualHost,
};

/// Proxies that the environment names are not used.
struct Options {
  std::string endpoint;  ///< https://host[:port], http://host[:port]; empty: AWS, in the region
  std::string region;    ///< empty: us-east-1, which stores beside AWS mostly take
  std::string bucket;
  std::string prefix;  ///< stands before every key; empty or ends in '/'
  Addressing addressing = Addressing::kAuto;
  Credentials credentials;
  std::string ca_file;  ///< PEM; empty: the system's
  Encryption encryption;
  Checksum checksum = Checksum::kAuto;

  int threads = 16;  ///< requests at a time, and connections
  /// How long one try may take. Moving bytes has a second for each MiB on top.
  std::chrono::milliseconds try_timeout{2'400};
};

/// kInvalidArgument names the option that cannot be, and what to write instead. Reads no file.
Status Check(const Options& options);

}  // namespace millrace::objectstore_s3
