#pragma once

#include <unistd.h>

#include <cstdio>
#include <string>

#include "millrace/base/check.h"

namespace millrace::test {

/// While it lives, what the process writes to standard error goes to a file, to be read.
class CapturedStderr {
 public:
  CapturedStderr() : file_(std::tmpfile()), before_(::dup(STDERR_FILENO)) {
    MILLRACE_CHECK(file_ != nullptr && before_ >= 0, "standard error cannot be captured");
    std::fflush(stderr);
    ::dup2(::fileno(file_), STDERR_FILENO);
  }
  CapturedStderr(const CapturedStderr&) = delete;
  ~CapturedStderr() {
    std::fflush(stderr);
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
    std::fclose(file_);
  }

  std::string Text() const {
    std::fflush(stderr);
    std::rewind(file_);
    std::string text;
    for (int c = std::fgetc(file_); c != EOF; c = std::fgetc(file_))
      text.push_back(static_cast<char>(c));
    return text;
  }

 private:
  std::FILE* file_;
  int before_;
};

}  // namespace millrace::test
