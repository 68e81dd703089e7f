#include "slot.h"

#include <limits>

#include "scalar.h"

namespace millrace::record_simdjson {

void TakeNumber(std::string_view token, Slot* slot) {
  Parsed parsed = Parsed::kNo;
  if (slot->type == Type::kInt) {
    parsed = ParseInteger(token, std::numeric_limits<int32_t>::min(),
                          std::numeric_limits<int32_t>::max(), &slot->integer);
  } else if (slot->type == Type::kBigint) {
    parsed = ParseInteger(token, std::numeric_limits<int64_t>::min(),
                          std::numeric_limits<int64_t>::max(), &slot->integer);
  } else if (slot->type == Type::kDouble && IsNumber(token)) {
    parsed = ParseDouble(token, &slot->real);
  }
  if (parsed == Parsed::kOk) slot->state = Slot::State::kValue;
}

void TakeString(std::string_view text, Slot* slot) {
  Parsed parsed = Parsed::kNo;
  switch (slot->type) {
    case Type::kText:
      slot->text = text;
      parsed = Parsed::kOk;
      break;
    case Type::kTimestamp:
      parsed = ParseTime(text, &slot->integer);
      if (parsed == Parsed::kOutOfRange && slot->is_event_time)
        slot->state = Slot::State::kOutOfRange;
      break;
    case Type::kBigint:
      parsed = ParseInteger(text, std::numeric_limits<int64_t>::min(),
                            std::numeric_limits<int64_t>::max(), &slot->integer);
      break;
    case Type::kDouble:
      parsed = Parsed::kOk;
      if (text == "NaN") {
        slot->real = std::numeric_limits<double>::quiet_NaN();
      } else if (text == "Infinity") {
        slot->real = std::numeric_limits<double>::infinity();
      } else if (text == "-Infinity") {
        slot->real = -std::numeric_limits<double>::infinity();
      } else {
        parsed = Parsed::kNo;
      }
      break;
    default:
      break;
  }
  if (parsed == Parsed::kOk) slot->state = Slot::State::kValue;
}

}  // namespace millrace::record_simdjson
