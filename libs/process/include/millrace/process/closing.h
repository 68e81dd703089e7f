#pragma once

#include <functional>
#include <utility>

#include "millrace/driver/thread_driver.h"
#include "millrace/process/front.h"

namespace millrace::process {

/// At the end of its scope closes what others call, before what stands behind it is gone: the
/// front, then what `between` closes, then the executors.
class Closing {
 public:
  Closing(Front* front, ThreadDriver* driver, std::function<void()> between = {})
      : front_(*front), driver_(*driver), between_(std::move(between)) {}
  ~Closing() {
    front_.Close();
    if (between_) between_();
    driver_.Stop();
  }
  Closing(const Closing&) = delete;

 private:
  Front& front_;
  ThreadDriver& driver_;
  const std::function<void()> between_;
};

}  // namespace millrace::process
