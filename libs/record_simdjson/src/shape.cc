#include "shape.h"

#include <cstring>

#include "scalar.h"

namespace millrace::record_simdjson {
namespace {

/// End of a string whose first byte behind the quote is at `p`: the closing quote, or nullptr if a
/// byte comes before that needs more thought. Reads up to 7 bytes past that.
const char* PlainStringEnd(const char* p, const char* end) {
  constexpr uint64_t kOnes = 0x0101010101010101u;
  constexpr uint64_t kHigh = 0x8080808080808080u;
  // Sets the high bit of every byte that is zero; above the first such byte it may set more.
  const auto zeros = [](uint64_t v) { return (v - kOnes) & ~v & kHigh; };
  for (; p < end; p += 8) {
    uint64_t v = 0;
    std::memcpy(&v, p, sizeof v);
    const uint64_t quote = zeros(v ^ (kOnes * '"'));
    const uint64_t control = (v - kOnes * 0x20) & ~v & kHigh;
    const uint64_t other = zeros(v ^ (kOnes * '\\')) | control | (v & kHigh);
    if ((quote | other) == 0) continue;
    const uint64_t first = (quote | other) & (0 - (quote | other));
    if ((other & first) != 0 || (quote & first) == 0) return nullptr;
    p += __builtin_ctzll(first) / 8;
    return p < end ? p : nullptr;
  }
  return nullptr;
}

const char* NumberEnd(const char* p, const char* end) {
  while (p < end && ((*p >= '0' && *p <= '9') || *p == '-' || *p == '+' || *p == '.' || *p == 'e' ||
                     *p == 'E')) {
    ++p;
  }
  return p;
}

bool Skip(const char** p, const char* end, std::string_view literal) {
  if (static_cast<size_t>(end - *p) < literal.size() ||
      std::memcmp(*p, literal.data(), literal.size()) != 0) {
    return false;
  }
  *p += literal.size();
  return true;
}

/// Reads one value at *p into `slot`, or over it if that is nullptr.
bool ReadValue(const char** p, const char* end, Slot* slot) {
  switch (**p) {
    case '"': {
      const char* const close = PlainStringEnd(*p + 1, end);
      if (close == nullptr) return false;
      if (slot != nullptr) TakeString({*p + 1, close}, slot);
      *p = close + 1;
      break;
    }
    case 't':
    case 'f': {
      const bool value = **p == 't';
      if (!Skip(p, end, value ? "true" : "false")) return false;
      if (slot == nullptr) break;
      if (slot->type != Type::kBool) return false;
      slot->integer = value ? 1 : 0;
      slot->state = Slot::State::kValue;
      break;
    }
    case 'n':
      if (!Skip(p, end, "null")) return false;
      if (slot == nullptr) break;
      slot->state = Slot::State::kNull;
      return !slot->not_null && !slot->is_event_time;
    default: {
      const std::string_view token(*p, NumberEnd(*p, end));
      if (slot != nullptr) {
        TakeNumber(token, slot);
      } else if (!IsNumber(token)) {
        return false;
      }
      *p = token.data() + token.size();
    }
  }
  return slot == nullptr || slot->state == Slot::State::kValue;
}

}  // namespace

void Shape::Learn(std::string_view event, const std::vector<Seen>& seen) {
  members_.clear();
  const char* from = event.data();
  for (const Seen& s : seen) {
    for (const Member& m : members_) {
      if (m.slot >= 0 && m.slot == s.slot) return members_.clear();
    }
    members_.push_back({std::string(from, s.begin), s.slot});
    from = s.end;
  }
  after_.assign(from, event.data() + event.size());
}

bool Shape::Read(std::string_view event, std::vector<Slot>* slots) const {
  if (members_.empty()) return false;
  const char* p = event.data();
  const char* const end = p + event.size();
  for (const Member& m : members_) {
    if (!Skip(&p, end, m.before) || p == end) return false;
    if (!ReadValue(&p, end, m.slot < 0 ? nullptr : &(*slots)[static_cast<size_t>(m.slot)]))
      return false;
  }
  return Skip(&p, end, after_) && p == end;
}

}  // namespace millrace::record_simdjson
