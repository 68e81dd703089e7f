#pragma once

#include <map>
#include <string>
#include <string_view>

#include "millrace/base/time.h"

namespace millrace::objectstore_s3 {

/// What a request is signed with.
struct Keys {
  std::string access_key;
  std::string secret_key;
  std::string session_token;  ///< empty: none
};

/// All that a signature covers.
struct Signed {
  std::string method;
  std::string path;                            ///< percent-encoded
  std::map<std::string, std::string> query;    ///< not encoded
  std::map<std::string, std::string> headers;  ///< names in lower case, `host` among them
  std::string body_sha256;                     ///< 64 hexadecimal digits
};

/// `text` with every byte but letters, digits and -._~ as %XX; '/' stays if `keep_slash`.
std::string PercentEncoded(std::string_view text, bool keep_slash);
/// The query of an address: sorted, encoded, joined by '&'.
std::string QueryText(const std::map<std::string, std::string>& query);
/// "20130524T000000Z".
std::string BasicTimestamp(Micros time);

/// The value of the header `authorization`: AWS Signature Version 4, as "Authenticating Requests"
/// of the Amazon S3 API Reference has it. The headers hold `x-amz-date`, which is `time`.
std::string Authorization(const Signed& request, const Keys& keys, std::string_view region,
                          Micros time);

}  // namespace millrace::objectstore_s3
