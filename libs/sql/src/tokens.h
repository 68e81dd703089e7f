#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "source.h"

namespace millrace {

/// A word or symbol of a script, for looking at text that the parser refuses.
struct Token {
  enum class Kind : uint8_t { kWord, kNumber, kString, kSymbol };
  Kind kind = Kind::kSymbol;
  std::string text;  ///< words in lower case; a string without its quotes
  size_t offset = 0;
};

/// Tokens of [begin, end of text); never fails: an open string reaches to the end.
std::vector<Token> Tokenize(const Source& source, size_t begin = 0);

}  // namespace millrace
