#include <pg_query.h>

#include "foreign.h"
#include "json.h"
#include "reader.h"
#include "syntax.h"

namespace millrace {
namespace {

struct Parsed {
  explicit Parsed(const std::string& text) : result(pg_query_parse(text.c_str())) {}
  ~Parsed() { pg_query_free_parse_result(result); }
  Parsed(const Parsed&) = delete;
  Parsed& operator=(const Parsed&) = delete;

  PgQueryParseResult result;
};

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
  return source.At(static_cast<int64_t>(at), message);
}

}  // namespace

Result<std::vector<StatementSyntax>> ParseStatements(const Source& source) {
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
