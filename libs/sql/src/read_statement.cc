#include <algorithm>
#include <cctype>
#include <set>
#include <tuple>

#include "reader.h"

namespace millrace {
namespace {

struct Refusal {
  std::string_view node;
  std::string_view what;
  std::string_view hint;
};

constexpr std::string_view kViewHint =
    "write CREATE MATERIALIZED VIEW name AS SELECT ..., apply it, and read it by its name";

constexpr Refusal kStatements[] = {
    {"SelectStmt", "a query stands in a view: SELECT alone is not a statement here", kViewHint},
    {"ViewStmt", "plain views are not supported", "write CREATE MATERIALIZED VIEW"},
    {"InsertStmt", "events do not come in by INSERT",
     "send them over gRPC, or from a file with: millrace produce STREAM --input FILE"},
    {"CopyStmt", "events do not come in by COPY",
     "send them over gRPC, or from a file with: millrace produce STREAM --input FILE"},
    {"UpdateStmt", "events are never changed: UPDATE is not supported", ""},
    {"DeleteStmt", "events are never deleted one by one: DELETE is not supported", ""},
    {"RenameStmt", "a definition is never changed in place", "create a new one under another name"},
    {"RefreshMatViewStmt", "views are always up to date: REFRESH is not needed", "leave it out"},
    {"CreateSchemaStmt", "a namespace needs no statement",
     "write the name in front: CREATE TABLE namespace.name (...)"},
    {"IndexStmt", "result tables are indexed by their GROUP BY columns already", "leave it out"},
    {"TransactionStmt", "scripts have no transactions: each statement stands for itself",
     "leave it out"},
    {"ExplainStmt", "EXPLAIN is not supported", ""},
    {"VariableSetStmt", "SET is not supported", "options stand in WITH (...) of each statement"},
};

constexpr std::string_view kStatementHint =
    "a script has CREATE TABLE name (...) WITH (...), CREATE MATERIALIZED VIEW name AS SELECT ..., "
    "ALTER TABLE name SET (...), DROP TABLE name and DROP MATERIALIZED VIEW name";

bool IsPlainCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

}  // namespace

bool IsPlainName(std::string_view name) {
  // 63 bytes is where PostgreSQL's lexer cuts names in silence.
  return !name.empty() && name.size() < 63 && name[0] >= 'a' && name[0] <= 'z' &&
         std::all_of(name.begin(), name.end(), IsPlainCharacter);
}

Result<StatementSyntax> SyntaxReader::Statement(const Json& raw) {
  statement_ =
      static_cast<int64_t>(source_.SkipSpace(static_cast<size_t>(raw.Integer("stmt_location"))));
  const Json& node = raw["stmt"];
  if (node.members.size() != 1) return source_.At(statement_, "this statement is not supported");
  const auto& [tag, body] = node.members.front();
  if (tag == "CreateStmt") return Table(body);
  if (tag == "CreateTableAsStmt") {
    if (body.Text("objtype") != "OBJECT_MATVIEW") {
      return source_.At(statement_, "CREATE TABLE declares a stream: it has no AS SELECT",
                        "write CREATE MATERIALIZED VIEW name AS SELECT ...");
    }
    return View(body);
  }
  if (tag == "AlterTableStmt") return Alter(body);
  if (tag == "DropStmt") return Drop(body);
  for (const Refusal& refusal : kStatements) {
    if (tag == refusal.node) return source_.At(statement_, refusal.what, refusal.hint);
  }
  return source_.At(statement_, "this statement is not supported", kStatementHint);
}

Result<NameSyntax> SyntaxReader::Name(const Json& relation, std::string_view what) {
  NameSyntax out;
  out.name_space = relation.Text("schemaname");
  out.name = relation.Text("relname");
  out.location = relation.Integer("location");
  if (relation.Has("catalogname")) {
    return source_.At(out.location, "a name has at most two parts: namespace.name");
  }
  MILLRACE_TRY(CheckName(out, what));
  return out;
}

Status SyntaxReader::CheckName(const NameSyntax& name, std::string_view what) const {
  const bool good = IsPlainName(name.name);
  if (good && (name.name_space.empty() || IsPlainName(name.name_space))) return {};
  return source_.At(
      name.location,
      "not a name for a " + std::string(what) + ": " + Quoted(good ? name.name_space : name.name),
      "use a letter, then letters, digits and _, all lower case, at most 62 in all");
}

TypeSyntax SyntaxReader::Type(const Json& body) const {
  TypeSyntax out;
  const auto& names = body.Items("names");
  if (!names.empty()) out.name = names.back()["String"].Text("sval");
  out.has_modifier = body.Has("typmods");
  out.is_array = body.Has("arrayBounds") || body.Bool("setof");
  out.location = body.Integer("location");
  if (out.name == "interval" && out.has_modifier && body.Items("typmods").size() == 1) {
    out.interval_fields = body.Items("typmods")[0]["A_Const"]["ival"].Integer("ival");
  }
  return out;
}

Result<std::vector<OptionSyntax>> SyntaxReader::Options(const std::vector<Json>& list) {
  std::vector<OptionSyntax> out;
  std::set<std::string> names;
  for (const Json& node : list) {
    const Json& body = node["DefElem"];
    OptionSyntax option;
    option.name = body.Text("defname");
    option.location = body.Integer("location");
    if (body.Has("defnamespace")) {
      option.name = std::string(body.Text("defnamespace")) + "." + option.name;
    }
    const Json& value = body["arg"];
    if (value.Has("String")) {
      option.kind = OptionSyntax::Kind::kText;
      option.value = value["String"].Text("sval");
    } else if (value.Has("Integer")) {
      option.kind = OptionSyntax::Kind::kNumber;
      option.value = IntegerText(value["Integer"], WordAfter(option.location, "="));
    } else if (value.Has("Float")) {
      option.kind = OptionSyntax::Kind::kNumber;
      option.value = value["Float"].Text("fval");
    } else if (value.Has("TypeName")) {
      // A bare word.
      option.kind = OptionSyntax::Kind::kText;
      option.value = Type(value["TypeName"]).name;
    } else if (value.kind != Json::Kind::kNull) {
      return source_.At(option.location, "not a value for option " + Quoted(option.name),
                        "write a quoted text, a number, or on/off");
    }
    if (!names.insert(option.name).second)
      return source_.At(option.location, "option " + Quoted(option.name) + " is given twice");
    out.push_back(std::move(option));
  }
  return out;
}

Result<StatementSyntax> SyntaxReader::Table(const Json& body) {
  TableSyntax out;
  MILLRACE_ASSIGN(out.name, Name(body["relation"], "stream"));
  if (body["relation"].Text("relpersistence") != "p") {
    return source_.At(statement_, "TEMPORARY and UNLOGGED have no meaning for a stream",
                      "write CREATE TABLE");
  }
  if (body.Bool("if_not_exists")) {
    return source_.At(statement_,
                      "IF NOT EXISTS is not needed: the same definition twice is no error",
                      "leave it out");
  }
  if (body.Has("inhRelations") || body.Has("partspec") || body.Has("partbound") ||
      body.Has("ofTypename")) {
    return source_.At(statement_, "INHERITS, PARTITION BY, PARTITION OF and OF are not supported",
                      "write WITH (partition_key = 'column', ...) to partition a stream");
  }
  if (body.Has("tablespacename") || body.Has("accessMethod") ||
      body.Text("oncommit") != "ONCOMMIT_NOOP") {
    return source_.At(statement_, "TABLESPACE, USING and ON COMMIT are not supported",
                      "leave it out");
  }
  for (const Json& element : body.Items("tableElts")) {
    if (element.Has("Constraint")) {
      return source_.At(element["Constraint"].Integer("location"),
                        "constraints on a table are not supported",
                        "NOT NULL behind a column's type is; filter events in a view's WHERE");
    }
    if (!element.Has("ColumnDef")) {
      return source_.At(out.name.location, "LIKE is not supported", "list the columns");
    }
    MILLRACE_ASSIGN(auto column, TableColumn(element["ColumnDef"]));
    out.columns.push_back(std::move(column));
  }
  MILLRACE_ASSIGN(out.options, Options(body.Items("options")));
  return StatementSyntax(std::move(out));
}

Result<ColumnSyntax> SyntaxReader::TableColumn(const Json& body) {
  ColumnSyntax out;
  out.name = body.Text("colname");
  out.location = body.Integer("location");
  const std::string_view written =
      std::string_view(source_.text()).substr(static_cast<size_t>(out.location));
  // U&"..." is the other way to quote.
  out.quoted = written.starts_with('"') || written.substr(1).starts_with("&\"");
  out.type = Type(body["typeName"]);
  if (body.Has("collClause")) {
    return source_.At(body["collClause"].Integer("location"),
                      "COLLATE is not supported: text is compared by its UTF-8 bytes",
                      "leave it out");
  }
  for (const Json& node : body.Items("constraints")) {
    const Json& constraint = node["Constraint"];
    const std::string_view kind = constraint.Text("contype");
    const int64_t at = constraint.Integer("location");
    if (kind == "CONSTR_NOTNULL") {
      out.not_null = true;
    } else if (kind == "CONSTR_PRIMARY" || kind == "CONSTR_UNIQUE") {
      // Nobody wants the events of one moment in one partition.
      const bool time = out.type.name == "timestamptz";
      return source_.At(at, "PRIMARY KEY and UNIQUE have no meaning for a stream",
                        "leave it out: an event that is sent twice under its number counts once" +
                            (time ? ""
                                  : "; to keep the events of a key together write WITH "
                                    "(partition_key = '" +
                                        out.name + "')"));
    } else if (kind == "CONSTR_DEFAULT") {
      return source_.At(at, "DEFAULT is not supported: an absent column is NULL",
                        "write coalesce(" + out.name + ", value) in the view");
    } else if (kind == "CONSTR_CHECK") {
      return source_.At(at, "CHECK is not supported", "filter events in the view's WHERE");
    } else if (kind != "CONSTR_NULL") {
      return source_.At(at, "this constraint is not supported", "only NOT NULL is");
    }
  }
  return out;
}

Result<StatementSyntax> SyntaxReader::View(const Json& body) {
  ViewSyntax out;
  const Json& into = body["into"];
  MILLRACE_ASSIGN(out.name, Name(into["rel"], "view"));
  if (into["rel"].Text("relpersistence") != "p") {
    return source_.At(statement_, "UNLOGGED has no meaning here", "leave it out");
  }
  if (body.Bool("if_not_exists")) {
    return source_.At(statement_,
                      "IF NOT EXISTS is not needed: the same definition twice is no error",
                      "leave it out");
  }
  if (into.Has("colNames")) {
    return source_.At(out.name.location, "a column list behind the view's name is not supported",
                      "name the columns in SELECT: expression AS name");
  }
  if (into.Has("accessMethod") || into.Has("tableSpaceName") || into.Bool("skipData")) {
    return source_.At(statement_, "USING, TABLESPACE and WITH NO DATA are not supported",
                      "leave it out");
  }
  MILLRACE_ASSIGN(out.options, Options(into.Items("options")));
  const Json& query = body["query"]["SelectStmt"];
  if (query.kind == Json::Kind::kNull) {
    return source_.At(statement_, "a view is made from a SELECT", kViewHint);
  }
  MILLRACE_TRY(ReadSelect(query, &out));
  return StatementSyntax(std::move(out));
}

Result<StatementSyntax> SyntaxReader::Alter(const Json& body) {
  const std::vector<Json>& commands = body.Items("cmds");
  const Json& command = commands.empty() ? body : commands[0]["AlterTableCmd"];
  const std::string_view kind = command.Text("subtype");
  const bool sets = kind == "AT_SetRelOptions" || kind == "AT_ResetRelOptions";
  if (body.Text("objtype") != "OBJECT_TABLE" || commands.size() != 1 || !sets) {
    return source_.At(statement_, "a definition is never changed in place",
                      "create a new one under another name; what a stream keeps is changed by "
                      "ALTER TABLE name SET (keep_for = '7 days')");
  }
  AlterSyntax out;
  MILLRACE_ASSIGN(out.name, Name(body["relation"], "stream"));
  if (body.Bool("missing_ok")) {
    return source_.At(statement_, "IF EXISTS is not supported here", "leave it out");
  }
  out.reset = kind == "AT_ResetRelOptions";
  MILLRACE_ASSIGN(out.options, Options(command["def"]["List"].Items("items")));
  return StatementSyntax(std::move(out));
}

Result<StatementSyntax> SyntaxReader::Drop(const Json& body) {
  DropSyntax out;
  const std::string_view kind = body.Text("removeType");
  out.view = kind == "OBJECT_MATVIEW";
  if (!out.view && kind != "OBJECT_TABLE") {
    return source_.At(statement_, "only streams and views are dropped",
                      "write DROP TABLE stream or DROP MATERIALIZED VIEW view");
  }
  if (body.Text("behavior") == "DROP_CASCADE") {
    return source_.At(WordAfter(statement_, "cascade"), "CASCADE is not supported",
                      "drop the views by their names, then the stream");
  }
  out.if_exists = body.Bool("missing_ok");
  // The parser gives the names no places.
  int64_t at = WordAfter(statement_, out.view ? "view" : "table");
  for (const Json& object : body.Items("objects")) {
    const std::vector<Json>& parts = object["List"].Items("items");
    if (parts.size() > 2) return source_.At(at, "a name has at most two parts: namespace.name");
    NameSyntax name;
    if (parts.size() == 2) name.name_space = parts[0]["String"].Text("sval");
    if (!parts.empty()) name.name = parts.back()["String"].Text("sval");
    at = WordAfter(at, name.name_space.empty() ? name.name : name.name_space);
    name.location = at;
    MILLRACE_TRY(CheckName(name, out.view ? "view" : "stream"));
    out.names.push_back(std::move(name));
  }
  return StatementSyntax(std::move(out));
}

int64_t SyntaxReader::WordAfter(int64_t from, std::string_view word) const {
  auto token = std::lower_bound(tokens_.begin(), tokens_.end(), static_cast<size_t>(from),
                                [](const Token& t, size_t offset) { return t.offset < offset; });
  token = std::find_if(token, tokens_.end(), [&](const Token& t) {
    return t.kind != Token::Kind::kString && t.text == word;
  });
  return token == tokens_.end() ? from : static_cast<int64_t>(token->offset);
}

Status SyntaxReader::RefuseClauses(const Json& body) {
  const auto word = [&](std::string_view w) { return WordAfter(statement_, w); };
  const std::string_view set = body.Text("op");
  if (set != "SETOP_NONE") {
    const std::string_view name = set.substr(set.find('_') + 1);
    std::string lower(name);
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return source_.At(word(lower), std::string(name) + " is not supported",
                      "write one view for each SELECT");
  }
  constexpr std::tuple<std::string_view, std::string_view, std::string_view, std::string_view>
      kClauses[] = {
          {"withClause", "with", "WITH queries are not supported",
           "filter in WHERE and compute in SELECT, over one stream"},
          {"valuesLists", "values", "VALUES is not supported", kViewHint},
          {"intoClause", "into", "SELECT INTO is not supported", "write CREATE MATERIALIZED VIEW"},
          {"distinctClause", "distinct", "DISTINCT is not supported",
           "GROUP BY gives each group once"},
          {"windowClause", "window", "WINDOW is not supported",
           "write FROM tumble(stream, time, INTERVAL '1 hour')"},
          {"sortClause", "order", "ORDER BY is not supported: a view is a table",
           "order when you read it"},
          {"limitCount", "limit", "LIMIT is not supported: a view is a table",
           "limit when you read it"},
          {"limitOffset", "offset", "OFFSET is not supported: a view is a table",
           "skip rows when you read it"},
          {"lockingClause", "for", "FOR UPDATE is not supported", "leave it out"},
      };
  for (const auto& [member, keyword, what, hint] : kClauses) {
    if (!body.Has(member)) continue;
    const int64_t after_name = WordAfter(statement_, "as");
    return source_.At(WordAfter(after_name, keyword), what, hint);
  }
  return {};
}

Status SyntaxReader::ReadSelect(const Json& body, ViewSyntax* view) {
  MILLRACE_TRY(RefuseClauses(body));
  view->select_location = WordAfter(WordAfter(statement_, "as"), "select");
  for (const Json& node : body.Items("targetList")) {
    const Json& target = node["ResTarget"];
    ItemSyntax item;
    item.alias = target.Text("name");
    MILLRACE_ASSIGN(item.expr, Expression(target["val"], target.Integer("location"), 1));
    view->select.push_back(std::move(item));
  }
  MILLRACE_TRY(From(body, view));
  if (body.Has("whereClause")) {
    MILLRACE_ASSIGN(view->where, Expression(body["whereClause"], view->select_location, 1));
  }
  for (const Json& node : body.Items("groupClause")) {
    MILLRACE_ASSIGN(auto group, Expression(node, view->select_location, 1));
    view->group_by.push_back(std::move(group));
  }
  if (body.Has("havingClause")) {
    MILLRACE_ASSIGN(view->having, Expression(body["havingClause"], view->select_location, 1));
  }
  return {};
}

Status SyntaxReader::From(const Json& body, ViewSyntax* view) {
  constexpr std::string_view kHint =
      "write FROM tumble(stream, time, INTERVAL '1 hour') or FROM hop(stream, time, slide, size)";
  const auto& from = body.Items("fromClause");
  const int64_t keyword = WordAfter(view->select_location, "from");
  if (from.empty()) return source_.At(view->select_location, "the view reads no stream", kHint);
  if (from.size() > 1 || from[0].Has("JoinExpr")) {
    const int64_t at = from[0].Has("JoinExpr") ? WordAfter(keyword, "join") : keyword;
    return source_.At(at, "joins are not supported: a view reads one stream", kHint);
  }
  if (from[0].Has("RangeSubselect")) {
    return source_.At(keyword, "subqueries are not supported",
                      "filter in WHERE and compute in SELECT, over one stream");
  }
  if (from[0].Has("RangeVar")) {
    const Json& table = from[0]["RangeVar"];
    const std::string name(table.Text("relname"));
    return source_.At(table.Integer("location"), Quoted(name) + " stands without a window in FROM",
                      "write FROM tumble(" + name + ", time, INTERVAL '1 hour')");
  }
  const Json& function = from[0]["RangeFunction"];
  if (function.kind != Json::Kind::kObject || function.Items("functions").size() != 1 ||
      function.Bool("is_rowsfrom") || function.Bool("ordinality") || function.Bool("lateral") ||
      function.Has("coldeflist") || function["alias"].Has("colnames")) {
    return source_.At(keyword, "this form of FROM is not supported", kHint);
  }
  view->from_alias = function["alias"].Text("aliasname");
  const auto& parts = function.Items("functions")[0]["List"].Items("items");
  if (parts.empty()) return source_.At(keyword, "this form of FROM is not supported", kHint);
  MILLRACE_ASSIGN(view->from, Expression(parts[0], keyword, 1));
  if (view->from.kind != Syntax::Kind::kCall) {
    return source_.At(view->from.location, "this form of FROM is not supported", kHint);
  }
  return {};
}

}  // namespace millrace
