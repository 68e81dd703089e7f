#include "tokens.h"

#include <algorithm>
#include <cctype>

namespace millrace {
namespace {

bool IsWordStart(unsigned char c) { return std::isalpha(c) != 0 || c == '_' || c >= 0x80; }
bool IsWordPart(unsigned char c) { return IsWordStart(c) || std::isdigit(c) != 0 || c == '$'; }
bool IsDigit(unsigned char c) { return std::isdigit(c) != 0; }

}  // namespace

std::vector<Token> Tokenize(const Source& source, size_t begin) {
  const std::string& text = source.text();
  std::vector<Token> out;
  for (size_t i = source.SkipSpace(begin); i < text.size(); i = source.SkipSpace(i)) {
    Token token;
    token.offset = i;
    const auto c = static_cast<unsigned char>(text[i]);
    size_t end = i + 1;
    if (IsWordStart(c)) {
      token.kind = Token::Kind::kWord;
      while (end < text.size() && IsWordPart(static_cast<unsigned char>(text[end]))) ++end;
      token.text = text.substr(i, end - i);
      std::transform(token.text.begin(), token.text.end(), token.text.begin(),
                     [](unsigned char x) { return static_cast<char>(std::tolower(x)); });
    } else if (IsDigit(c)) {
      token.kind = Token::Kind::kNumber;
      while (end < text.size() &&
             (IsDigit(static_cast<unsigned char>(text[end])) || text[end] == '.')) {
        ++end;
      }
      token.text = text.substr(i, end - i);
    } else if (c == '\'' || c == '"') {
      token.kind = Token::Kind::kString;
      const size_t close = std::min(text.find(static_cast<char>(c), i + 1), text.size());
      token.text = text.substr(i + 1, close - i - 1);
      end = std::min(close + 1, text.size());
    } else {
      token.text = text.substr(i, 1);
    }
    i = end;
    out.push_back(std::move(token));
  }
  return out;
}

}  // namespace millrace
