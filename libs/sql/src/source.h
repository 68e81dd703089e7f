#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/base/result.h"

namespace millrace {

/// The text of a script and the errors that point into it. Offsets are bytes from 0; those outside
/// the text mean its nearest end.
class Source {
 public:
  explicit Source(std::string text) : text_(std::move(text)) {}

  const std::string& text() const { return text_; }

  /// kInvalidArgument with line, column, source line (of a long one the piece around) and caret.
  Error At(int64_t offset, std::string_view what, std::string_view hint = {}) const;
  /// The same for an error that knows no place; what its message says behind "; " is the hint.
  Error At(int64_t offset, std::string_view subject, const Error& error) const;
  /// The first with kConflict: right, but not built yet.
  Error NotYet(int64_t offset, std::string_view what, std::string_view hint = {}) const;

  /// First byte at or after `offset` that is neither space nor comment.
  size_t SkipSpace(size_t offset) const;
  /// Byte offset of the `character`th character, counted from 0.
  size_t OffsetOfCharacter(int64_t character) const;

 private:
  std::string Describe(int64_t offset, std::string_view what, std::string_view hint) const;
  size_t Back(size_t begin, size_t from, int characters) const;
  size_t Forward(size_t from, size_t end, int characters) const;

  std::string text_;
};

/// The first byte that is not UTF-8 text (a zero byte is none), or the size.
size_t TextPrefix(std::string_view text);

/// `name` in double quotes, for messages.
std::string Quoted(std::string_view name);

}  // namespace millrace
