#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "json.h"
#include "syntax.h"
#include "tokens.h"

namespace millrace {

/// Turns the parser's tree into our syntax and refuses, with its place, what we do not have.
class SyntaxReader {
 public:
  explicit SyntaxReader(const Source& source) : source_(source), tokens_(Tokenize(source)) {}

  /// One element of the tree's `stmts`.
  Result<StatementSyntax> Statement(const Json& raw);

 private:
  Result<StatementSyntax> Table(const Json& body);
  Result<ColumnSyntax> TableColumn(const Json& body);
  Result<StatementSyntax> View(const Json& body);
  Result<StatementSyntax> Alter(const Json& body);
  Result<StatementSyntax> Drop(const Json& body);
  Status ReadSelect(const Json& body, ViewSyntax* view);
  Status RefuseClauses(const Json& body);
  Status From(const Json& body, ViewSyntax* view);
  Result<NameSyntax> Name(const Json& relation, std::string_view what);
  Status CheckName(const NameSyntax& name, std::string_view what) const;
  Result<std::vector<OptionSyntax>> Options(const std::vector<Json>& list);
  TypeSyntax Type(const Json& body) const;

  /// `parent`: location of what holds the node, for nodes that have none.
  Result<Syntax> Expression(const Json& node, int64_t parent, int depth);
  Result<Syntax> Constant(const Json& body, int64_t at);
  Result<Syntax> ColumnRef(const Json& body, int64_t at);
  Result<Syntax> Operator(const Json& body, int64_t at, int depth);
  Result<Syntax> Call(const Json& body, int64_t at, int depth);
  Result<Syntax> Case(const Json& body, int64_t at, int depth);
  Status Arguments(const std::vector<Json>& nodes, int depth, Syntax* out);

  /// The parser's JSON leaves integers out that are not positive: their text, from the script.
  std::string IntegerText(const Json& integer, int64_t location) const;
  /// Where `word` stands at or after `from`; `from` if nowhere.
  int64_t WordAfter(int64_t from, std::string_view word) const;

  const Source& source_;
  const std::vector<Token> tokens_;
  int64_t statement_ = 0;
};

}  // namespace millrace
