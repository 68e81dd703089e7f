#pragma once

#include <cstdint>
#include <string_view>

#include "millrace/model/column.h"

namespace millrace::record_simdjson {

/// What an event says about a column so far.
struct Slot {
  enum class State : uint8_t { kAbsent, kNull, kValue, kWrongType, kOutOfRange };

  State state = State::kAbsent;
  Type type = Type::kInt;
  bool not_null = false;
  bool is_event_time = false;
  /// The text value; of a wrong one, its token.
  std::string_view text;
  int64_t integer = 0;
  double real = 0;

  /// The member that it is from, if its name is equal to the column's but for case.
  std::string_view variant{};
  /// Of several such members, when none has the column's own name, nobody can say which counts.
  std::string_view other_variant{};
  bool exact = false;  ///< a member has the column's own name

  /// Nothing is known of it any more.
  void Clear() {
    state = State::kAbsent;
    variant = other_variant = {};
    exact = false;
  }
  bool is_null() const { return state == State::kAbsent || state == State::kNull; }
};

// Each sets kValue and the value, or leaves or makes the state what is wrong with it.

/// `token` may be no number at all.
void TakeNumber(std::string_view token, Slot* slot);
/// `text` is unescaped.
void TakeString(std::string_view text, Slot* slot);

}  // namespace millrace::record_simdjson
