#include <pg_query.h>

#include "foreign.h"
#include "json.h"
#include "reader.h"
#include "syntax.h"
#include "tokens.h"

namespace millrace {
namespace {

struct Parsed {
  explicit Parsed(const std::string& text) : result(pg_query_parse(text.c_str())) {}
  ~Parsed() { pg_query_free_parse_result(result); }
  Parsed(const Parsed&) = delete;
  Parsed& operator=(const Parsed&) = delete;

  PgQueryParseResult result;
};

/// A hint for a column of a table whose name is a word of SQL; empty if it is none at `at`.
std::string ReservedColumn(const Source& source, size_t at) {
  const std::vector<Token> tokens = Tokenize(source);
  size_t parentheses = 0;
  bool table = false;
  for (size_t i = 0; i < tokens.size() && tokens[i].offset <= at; ++i) {
    const std::string& text = tokens[i].text;
    if (tokens[i].kind == Token::Kind::kString) continue;
    if (text == ";") table = false;
    if (text == "table" && i > 0 && tokens[i - 1].text == "create") {
      table = true;
      parentheses = 0;
    }
    if (tokens[i].offset == at) {
      const bool begins = i > 0 && (tokens[i - 1].text == "(" || tokens[i - 1].text == ",");
      if (!table || parentheses != 1 || !begins || tokens[i].kind != Token::Kind::kWord) return {};
      return Quoted(text) + " is a word of SQL: as a name it stands in double quotes, as here";
    }
    if (text == "(") ++parentheses;
    if (text == ")" && parentheses > 0) --parentheses;
  }
  return {};
}

Error SyntaxError(const Source& source, const PgQueryError& error) {
  // The parser counts characters, from 1; 0 means that it does not know.
  const size_t at = error.cursorpos > 0 ? source.OffsetOfCharacter(error.cursorpos - 1) : 0;
  if (auto form = FindForeignForm(source, at)) {
    return source.At(static_cast<int64_t>(form->offset), form->what, form->hint);
  }
  const std::string message = error.message;
  if (message.starts_with("memory exhausted") || message.starts_with("stack depth")) {
    return source.At(static_cast<int64_t>(at), "nested too deeply", "write it in smaller pieces");
  }
  if (message.starts_with("subquery in FROM must have an alias")) {
    return source.At(static_cast<int64_t>(at), "subqueries are not supported",
                     "filter in WHERE and compute in SELECT, over one stream");
  }
  return source.At(static_cast<int64_t>(at), message, ReservedColumn(source, at));
}

/// PostgreSQL's lexer reads a run of operator characters again at each comment that begins in it,
/// and twice more at each + at its end: such a run could cost minutes. No script of people has one.
Status CheckRuns(const Source& source) {
  constexpr std::string_view kOperators = "~!@#^&|`?+-*/%<>=";
  constexpr int kMost = 64;
  const std::string& text = source.text();
  int comments = 0;
  int signs = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (kOperators.find(text[i]) == std::string_view::npos) {
      comments = signs = 0;
      continue;
    }
    signs += text[i] == '+' ? 1 : 0;
    comments += text.compare(i, 2, "/*") == 0 ? 1 : 0;
    if (comments > kMost || signs > kMost) {
      return source.At(static_cast<int64_t>(i),
                       comments > kMost ? "more than 64 comments begin without a space between them"
                                        : "more than 64 signs + stand in a row of operators",
                       "write spaces between them, or leave them out");
    }
  }
  return {};
}

}  // namespace

Result<std::vector<StatementSyntax>> ParseStatements(const Source& source) {
  MILLRACE_TRY(CheckRuns(source));
  const Parsed parsed(source.text());
  if (parsed.result.error != nullptr) return SyntaxError(source, *parsed.result.error);
  Json tree;
  if (!ReadJson(parsed.result.parse_tree, &tree)) {
    return Internal("the parser's tree is not JSON");
  }
  std::vector<StatementSyntax> out;
  SyntaxReader reader(source);
  for (const Json& raw : tree.Items("stmts")) {
    MILLRACE_ASSIGN(auto statement, reader.Statement(raw));
    out.push_back(std::move(statement));
  }
  return out;
}

}  // namespace millrace
