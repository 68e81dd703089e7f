#include "source.h"

#include <algorithm>

#include "millrace/base/utf8.h"

namespace millrace {
namespace {

bool StartsCharacter(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

/// How many characters of the source line a message shows before and behind its place.
constexpr int kShownBefore = 150;
constexpr int kShownBehind = 150;
constexpr std::string_view kCut = "...";

bool IsSpace(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

}  // namespace

size_t TextPrefix(std::string_view text) { return std::min(Utf8Prefix(text), text.find('\0')); }

std::string Quoted(std::string_view name) {
  std::string out = "\"";
  out.append(name);
  out += '"';
  return out;
}

Error Source::At(int64_t offset, std::string_view what, std::string_view hint) const {
  return InvalidArgument(Describe(offset, what, hint));
}

Error Source::At(int64_t offset, std::string_view subject, const Error& error) const {
  const std::string_view message = error.message;
  const size_t split = message.find("; ");
  std::string what(subject);
  if (!what.empty()) what += ": ";
  what += message.substr(0, split);
  return At(offset, what,
            split == std::string_view::npos ? std::string_view() : message.substr(split + 2));
}

Error Source::NotYet(int64_t offset, std::string_view what, std::string_view hint) const {
  return Conflict(Describe(offset, what, hint));
}

/// Where `characters` before `from` begin, not below `begin`.
size_t Source::Back(size_t begin, size_t from, int characters) const {
  for (; from > begin && characters > 0; --characters) {
    do {
      --from;
    } while (from > begin && !StartsCharacter(text_[from]));
  }
  return from;
}

/// Where `characters` from `from` on end, not above `end`.
size_t Source::Forward(size_t from, size_t end, int characters) const {
  for (; from < end && characters > 0; --characters) {
    do {
      ++from;
    } while (from < end && !StartsCharacter(text_[from]));
  }
  return from;
}

std::string Source::Describe(int64_t offset, std::string_view what, std::string_view hint) const {
  const auto at =
      static_cast<size_t>(std::clamp<int64_t>(offset, 0, static_cast<int64_t>(text_.size())));
  const auto begin = text_.begin();
  const auto here = begin + static_cast<std::ptrdiff_t>(at);
  const auto line = std::count(begin, here, '\n') + 1;
  const size_t before = at == 0 ? std::string::npos : text_.rfind('\n', at - 1);
  const size_t line_start = before == std::string::npos ? 0 : before + 1;
  size_t line_end = std::min(text_.find('\n', at), text_.size());
  if (line_end > line_start && text_[line_end - 1] == '\r' && line_end > at) --line_end;

  const auto column = 1 + std::count_if(text_.begin() + static_cast<std::ptrdiff_t>(line_start),
                                        here, StartsCharacter);
  std::string out = "line " + std::to_string(line) + ", column " + std::to_string(column) + ": ";
  out.append(what);
  out += '\n';
  const size_t shown_start = Back(line_start, at, kShownBefore);
  const size_t shown_end = Forward(at, line_end, kShownBehind);
  std::string caret;
  if (shown_start > line_start) {
    out += kCut;
    caret.append(kCut.size(), ' ');
  }
  for (size_t i = shown_start; i < at; ++i) {
    // A tab stays a tab, so that the caret stands below its character whatever a tab is worth.
    if (StartsCharacter(text_[i])) caret += text_[i] == '\t' ? '\t' : ' ';
  }
  out.append(text_, shown_start, shown_end - shown_start);
  if (shown_end < line_end) out += kCut;
  out += '\n';
  out += caret;
  out += '^';
  if (!hint.empty()) {
    out += "\nhint: ";
    out.append(hint);
  }
  return out;
}

size_t Source::SkipSpace(size_t offset) const {
  size_t i = offset;
  while (i < text_.size()) {
    if (IsSpace(text_[i])) {
      ++i;
    } else if (text_.compare(i, 2, "--") == 0) {
      i = std::min(text_.find('\n', i), text_.size());
    } else if (text_.compare(i, 2, "/*") == 0) {
      // Comments nest in PostgreSQL.
      size_t depth = 0;
      do {
        if (text_.compare(i, 2, "/*") == 0) {
          ++depth;
          i += 2;
        } else if (text_.compare(i, 2, "*/") == 0) {
          --depth;
          i += 2;
        } else {
          ++i;
        }
      } while (depth > 0 && i < text_.size());
    } else {
      break;
    }
  }
  return std::min(i, text_.size());
}

size_t Source::OffsetOfCharacter(int64_t character) const {
  int64_t seen = -1;
  for (size_t i = 0; i < text_.size(); ++i) {
    if (StartsCharacter(text_[i]) && ++seen == character) return i;
  }
  return text_.size();
}

}  // namespace millrace
