#pragma once

#include <string>

#include "millrace/base/byte_stream.h"

namespace millrace {

/// Keeps what is written to it: for a Get by way of a GetTo.
class StringSink : public ByteSink {
 public:
  Status Write(std::string_view bytes) override {
    written.append(bytes);
    return {};
  }
  Status Finish() override { return {}; }

  std::string written;
};

}  // namespace millrace
