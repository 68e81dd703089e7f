#pragma once

#include <utility>

#include "millrace/control/fold.h"

namespace millrace::test {

/// The record as its leader would append it next. One that has a count already stays as it is.
inline control::Record Stamped(const control::Fold& fold, control::Record record) {
  control::Stamp* stamp = control::StampOf(&record);
  if (stamp != nullptr && stamp->k == 0) stamp->k = fold.leader().k + 1;
  return record;
}

}  // namespace millrace::test
