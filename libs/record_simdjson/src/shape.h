#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "slot.h"

namespace millrace::record_simdjson {

/// How the last events were written: the bytes between their values. Producers write the same
/// members in the same order, so most events can be read by comparing those bytes and scanning the
/// values, at a third of the cost of finding the structure.
///
/// Read accepts nothing that is not JSON: plain ASCII strings, numbers and literals at the places
/// learned. It never judges: what it does not accept goes the long way.
class Shape {
 public:
  /// One value of an event that was read the long way.
  struct Seen {
    const char* begin;
    const char* end;
    int slot;  ///< -1: not a column
  };

  /// `seen` are all values of the object in `event`, in order, none of them nested or escaped.
  void Learn(std::string_view event, const std::vector<Seen>& seen);
  void Forget() { members_.clear(); }

  /// True: `event` has this shape and every column a value that it may have, and `slots` say which.
  /// At least 64 readable bytes must follow `event`.
  bool Read(std::string_view event, std::vector<Slot>* slots) const;

 private:
  struct Member {
    std::string before;
    int slot;
  };

  std::vector<Member> members_;
  std::string after_;
};

}  // namespace millrace::record_simdjson
