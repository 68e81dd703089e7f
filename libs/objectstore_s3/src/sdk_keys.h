#pragma once

#include "millrace/base/result.h"
#include "signature.h"

namespace millrace::objectstore_s3 {

/// The keys that the AWS SDK inside Arrow finds: environment, profile, web identity, container,
/// machine. Empty: none. The SDK is started by the first call and ended when the process exits; no
/// call may come after the end of main. Threads: any; may block for seconds.
Result<Keys> KeysOfSdk();

}  // namespace millrace::objectstore_s3
