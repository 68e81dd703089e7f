#include "json.h"

#include <charconv>

namespace millrace {
namespace {

const Json kAbsent;

void AppendUtf8(uint32_t c, std::string* out) {
  if (c < 0x80) {
    *out += static_cast<char>(c);
  } else if (c < 0x800) {
    *out += static_cast<char>(0xC0 | (c >> 6));
    *out += static_cast<char>(0x80 | (c & 0x3F));
  } else {
    *out += static_cast<char>(0xE0 | (c >> 12));
    *out += static_cast<char>(0x80 | ((c >> 6) & 0x3F));
    *out += static_cast<char>(0x80 | (c & 0x3F));
  }
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool ReadAll(Json* out) { return Read(0, out) && (Space(), at_ == text_.size()); }

 private:
  void Space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool Take(char c) {
    Space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  bool Read(int depth, Json* out) {
    Space();
    if (at_ >= text_.size()) return false;
    const char c = text_[at_];
    if (c == '{' || c == '[') {
      if (depth >= kMaxJsonDepth) return Skip(out);
      return c == '{' ? Object(depth, out) : Array(depth, out);
    }
    if (c == '"') {
      out->kind = Json::Kind::kString;
      return String(&out->text);
    }
    const size_t end = std::min(text_.find_first_of(",]} \n", at_), text_.size());
    out->text = text_.substr(at_, end - at_);
    at_ = end;
    if (out->text == "null") {
      out->text.clear();
    } else if (out->text == "true" || out->text == "false") {
      out->kind = Json::Kind::kBool;
    } else {
      out->kind = Json::Kind::kNumber;
    }
    return true;
  }

  bool Object(int depth, Json* out) {
    out->kind = Json::Kind::kObject;
    Take('{');
    if (Take('}')) return true;
    do {
      Space();
      auto& member = out->members.emplace_back();
      if (!String(&member.first) || !Take(':') || !Read(depth + 1, &member.second)) return false;
    } while (Take(','));
    return Take('}');
  }

  bool Array(int depth, Json* out) {
    out->kind = Json::Kind::kArray;
    Take('[');
    if (Take(']')) return true;
    do {
      if (!Read(depth + 1, &out->items.emplace_back())) return false;
    } while (Take(','));
    return Take(']');
  }

  bool Skip(Json* out) {
    out->kind = Json::Kind::kTooDeep;
    std::string dropped;
    int64_t depth = 0;
    do {
      if (at_ >= text_.size()) return false;
      const char c = text_[at_];
      if (c == '"') {
        if (!String(&dropped)) return false;
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      ++at_;
    } while (depth > 0);
    return true;
  }

  bool String(std::string* out) {
    out->clear();
    if (at_ >= text_.size() || text_[at_] != '"') return false;
    for (++at_; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return true;
      }
      if (c != '\\') {
        *out += c;
      } else if (!Escape(out)) {
        return false;
      }
    }
    return false;
  }

  bool Escape(std::string* out) {
    if (++at_ >= text_.size()) return false;
    switch (text_[at_]) {
      case 'b':
        *out += '\b';
        return true;
      case 'f':
        *out += '\f';
        return true;
      case 'n':
        *out += '\n';
        return true;
      case 'r':
        *out += '\r';
        return true;
      case 't':
        *out += '\t';
        return true;
      case 'u': {
        if (at_ + 4 >= text_.size()) return false;
        uint32_t code = 0;
        const char* first = text_.data() + at_ + 1;
        if (std::from_chars(first, first + 4, code, 16).ptr != first + 4) return false;
        // The writer escapes only ASCII so: no surrogates.
        AppendUtf8(code, out);
        at_ += 4;
        return true;
      }
      default:
        *out += text_[at_];
        return true;
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

const Json& Json::operator[](std::string_view key) const {
  for (const auto& [name, value] : members) {
    if (name == key) return value;
  }
  return kAbsent;
}

int64_t Json::Integer(std::string_view key) const {
  const std::string& digits = (*this)[key].text;
  int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

bool ReadJson(std::string_view text, Json* out) { return Reader(text).ReadAll(out); }

}  // namespace millrace
