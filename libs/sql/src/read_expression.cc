#include <algorithm>
#include <cctype>
#include <span>

#include "functions.h"
#include "reader.h"

namespace millrace {
namespace {

/// The one member of a tagged node.
const std::pair<std::string, Json>* Tagged(const Json& node) {
  return node.members.size() == 1 ? &node.members.front() : nullptr;
}

std::string NameText(const Json& node) { return std::string(node["String"].Text("sval")); }

std::string Lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

struct Refusal {
  std::string_view node;
  std::string_view what;
  std::string_view hint;
};

constexpr Refusal kRefusals[] = {
    {"SubLink", "subqueries are not supported",
     "filter in WHERE and compute in SELECT, over one stream"},
    {"A_ArrayExpr", "arrays are not supported", "for a list of values write x IN (1, 2, 3)"},
    {"A_Indirection", "arrays and composite values are not supported", ""},
    {"RowExpr", "row values are not supported", "compare the columns one by one"},
    {"ParamRef", "parameters are not supported", "write the value"},
    {"CollateClause", "COLLATE is not supported: text is compared by its UTF-8 bytes",
     "leave it out"},
    {"GroupingFunc", "GROUPING is not supported", ""},
    {"GroupingSet", "GROUPING SETS, ROLLUP and CUBE are not supported",
     "write one view for each grouping"},
    {"XmlExpr", "XML is not supported", ""},
    {"SetToDefault", "DEFAULT has no meaning here", ""},
    {"CurrentOfExpr", "CURRENT OF has no meaning here", ""},
};

/// Forms that the parser tells apart by a member of their node. Each hint has the value of the
/// form, also where an operand is NULL.
struct Variant {
  std::string_view value;
  std::string_view what;
  std::string_view hint;
};

constexpr Variant kBooleanTests[] = {
    {"IS_TRUE", "IS TRUE is not supported", "write coalesce(x, false)"},
    {"IS_NOT_TRUE", "IS NOT TRUE is not supported", "write NOT coalesce(x, false)"},
    {"IS_FALSE", "IS FALSE is not supported", "write NOT coalesce(x, true)"},
    {"IS_NOT_FALSE", "IS NOT FALSE is not supported", "write coalesce(x, true)"},
    {"IS_UNKNOWN", "IS UNKNOWN is not supported", "write x IS NULL"},
    {"IS_NOT_UNKNOWN", "IS NOT UNKNOWN is not supported", "write x IS NOT NULL"},
};

constexpr Variant kMinMax[] = {
    {"IS_GREATEST", "greatest() is not available",
     "write CASE WHEN a > b OR b IS NULL THEN a ELSE b END"},
    {"IS_LEAST", "least() is not available",
     "write CASE WHEN a < b OR b IS NULL THEN a ELSE b END"},
};

const Variant* FindVariant(std::span<const Variant> variants, std::string_view value) {
  const auto at = std::find_if(variants.begin(), variants.end(),
                               [&](const Variant& v) { return v.value == value; });
  return at == variants.end() ? nullptr : &*at;
}

/// Functions that PostgreSQL's grammar makes of other words.
struct SqlForm {
  std::string_view function;
  std::string_view written;
};

constexpr SqlForm kSqlForms[] = {
    {"btrim", "trim()"}, {"ltrim", "trim()"}, {"rtrim", "trim()"}, {"timezone", "AT TIME ZONE"}};

std::string Written(const std::string& function, bool sql_syntax) {
  for (const SqlForm& form : kSqlForms) {
    if (sql_syntax && form.function == function) return std::string(form.written);
  }
  return function + "()";
}

}  // namespace

Result<Syntax> SyntaxReader::Expression(const Json& node, int64_t parent, int depth) {
  const auto* tagged = Tagged(node);
  if (depth > kMaxExprDepth || node.kind == Json::Kind::kTooDeep ||
      (tagged != nullptr && tagged->second.kind == Json::Kind::kTooDeep)) {
    return source_.At(parent, "the expression is nested more than 100 levels deep",
                      "long sums of columns belong into the producer; IN (...) replaces long ORs");
  }
  if (tagged == nullptr) return source_.At(parent, "this expression is not supported");
  const auto& [tag, body] = *tagged;
  const int64_t at =
      body.Has("location") && body.Integer("location") >= 0 ? body.Integer("location") : parent;

  if (tag == "A_Const") return Constant(body, at);
  if (tag == "ColumnRef") return ColumnRef(body, at);
  if (tag == "A_Expr") return Operator(body, at, depth);
  if (tag == "FuncCall") return Call(body, at, depth);
  if (tag == "CaseExpr") return Case(body, at, depth);

  Syntax out;
  out.location = at;
  if (tag == "BoolExpr") {
    const std::string_view op = body.Text("boolop");
    out.kind = op == "AND_EXPR"  ? Syntax::Kind::kAnd
               : op == "OR_EXPR" ? Syntax::Kind::kOr
                                 : Syntax::Kind::kNot;
    MILLRACE_TRY(Arguments(body.Items("args"), depth, &out));
    return out;
  }
  if (tag == "NullTest") {
    out.kind =
        body.Text("nulltesttype") == "IS_NULL" ? Syntax::Kind::kIsNull : Syntax::Kind::kIsNotNull;
    MILLRACE_ASSIGN(auto operand, Expression(body["arg"], at, depth + 1));
    out.args.push_back(std::move(operand));
    return out;
  }
  if (tag == "CoalesceExpr") {
    out.kind = Syntax::Kind::kCoalesce;
    MILLRACE_TRY(Arguments(body.Items("args"), depth, &out));
    return out;
  }
  if (tag == "TypeCast") {
    out.kind = Syntax::Kind::kCast;
    out.type = Type(body["typeName"]);
    if (body.Integer("location") < 0) out.location = out.type.location;
    MILLRACE_ASSIGN(auto operand, Expression(body["arg"], out.location, depth + 1));
    out.args.push_back(std::move(operand));
    return out;
  }
  if (tag == "NamedArgExpr") {
    out.kind = Syntax::Kind::kNamedArgument;
    out.text = body.Text("name");
    MILLRACE_ASSIGN(auto value, Expression(body["arg"], at, depth + 1));
    out.args.push_back(std::move(value));
    return out;
  }
  if (tag == "SQLValueFunction") {
    constexpr std::string_view kPrefix = "SVFOP_";
    std::string name = Lower(body.Text("op").substr(kPrefix.size()));
    if (name.ends_with("_n")) name.resize(name.size() - 2);
    out.kind = Syntax::Kind::kCall;
    out.written = name;
    out.text = std::move(name);
    return out;
  }
  for (const Refusal& refusal : kRefusals) {
    if (tag == refusal.node) return source_.At(at, refusal.what, refusal.hint);
  }
  const Variant* variant = nullptr;
  if (tag == "BooleanTest") variant = FindVariant(kBooleanTests, body.Text("booltesttype"));
  if (tag == "MinMaxExpr") variant = FindVariant(kMinMax, body.Text("op"));
  if (variant != nullptr) {
    return source_.At(at, variant->what, variant->hint);
  }
  return source_.At(at, "this expression is not supported");
}

Status SyntaxReader::Arguments(const std::vector<Json>& nodes, int depth, Syntax* out) {
  for (const Json& node : nodes) {
    MILLRACE_ASSIGN(auto argument, Expression(node, out->location, depth + 1));
    out->args.push_back(std::move(argument));
  }
  return {};
}

Result<Syntax> SyntaxReader::Constant(const Json& body, int64_t at) {
  Syntax out;
  out.location = at;
  if (body.Has("isnull")) return out;
  if (body.Has("sval")) {
    out.kind = Syntax::Kind::kString;
    out.text = body["sval"].Text("sval");
  } else if (body.Has("boolval")) {
    out.kind = Syntax::Kind::kBoolean;
    out.flag = body["boolval"].Bool("boolval");
  } else if (body.Has("ival")) {
    out.kind = Syntax::Kind::kInteger;
    out.text = IntegerText(body["ival"], at);
  } else if (body.Has("fval")) {
    // Integers beyond 32 bits come as "floats" too.
    out.text = body["fval"].Text("fval");
    out.kind = out.text.find_first_not_of("-0123456789") == std::string::npos
                   ? Syntax::Kind::kInteger
                   : Syntax::Kind::kDecimal;
  } else {
    return source_.At(at, "bit strings are not supported", "write a number or a text");
  }
  return out;
}

std::string SyntaxReader::IntegerText(const Json& integer, int64_t location) const {
  if (integer.Has("ival")) return std::string(integer.Text("ival"));
  // Zero or negative: signs and parentheses, perhaps with comments between, then the digits.
  const std::string& text = source_.text();
  size_t i = source_.SkipSpace(static_cast<size_t>(location));
  while (i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) == 0) {
    i = source_.SkipSpace(i + 1);
  }
  std::string out = "-";
  while (i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])) != 0)
    out += text[i++];
  return out.find_first_not_of("-0") == std::string::npos ? "0" : out;
}

Result<Syntax> SyntaxReader::ColumnRef(const Json& body, int64_t at) {
  Syntax out;
  out.kind = Syntax::Kind::kColumn;
  out.location = at;
  const auto& fields = body.Items("fields");
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].Has("A_Star") || fields[i].members.empty() ||
        fields[i].members.front().first == "A_Star") {
      return source_.At(at, "* is not supported: a view's columns are part of its definition",
                        "name the columns");
    }
    const std::string name = NameText(fields[i]);
    if (i + 1 == fields.size()) {
      out.text = name;
    } else {
      out.qualifier += (i > 0 ? "." : "") + name;
    }
  }
  return out;
}

Result<Syntax> SyntaxReader::Operator(const Json& body, int64_t at, int depth) {
  const std::string_view kind = body.Text("kind");
  Syntax out;
  out.location = at;
  const auto& name = body.Items("name");
  out.text = name.empty() ? "" : NameText(name.back());

  if (kind == "AEXPR_OP") {
    if (name.size() > 1) return source_.At(at, "OPERATOR(...) is not supported");
    out.kind = body.Has("lexpr") ? Syntax::Kind::kBinary : Syntax::Kind::kUnary;
  } else if (kind == "AEXPR_IN") {
    out.kind = out.text == "=" ? Syntax::Kind::kIn : Syntax::Kind::kNotIn;
  } else if (kind == "AEXPR_BETWEEN" || kind == "AEXPR_NOT_BETWEEN") {
    out.kind = kind == "AEXPR_BETWEEN" ? Syntax::Kind::kBetween : Syntax::Kind::kNotBetween;
  } else if (kind == "AEXPR_NULLIF") {
    out.kind = Syntax::Kind::kNullIf;
  } else if (kind == "AEXPR_LIKE" || kind == "AEXPR_ILIKE" || kind == "AEXPR_SIMILAR") {
    const std::string_view like = kind == "AEXPR_LIKE"    ? "LIKE"
                                  : kind == "AEXPR_ILIKE" ? "ILIKE"
                                                          : "SIMILAR TO";
    return source_.NotYet(at, std::string(like) + " is not available yet",
                          "compare with =, <> or IN (...)");
  } else if (kind == "AEXPR_DISTINCT") {
    return source_.At(at, "IS DISTINCT FROM is not supported",
                      "write coalesce(a <> b, (a IS NULL) <> (b IS NULL))");
  } else if (kind == "AEXPR_NOT_DISTINCT") {
    return source_.At(at, "IS NOT DISTINCT FROM is not supported",
                      "write coalesce(a = b, (a IS NULL) = (b IS NULL))");
  } else if (kind == "AEXPR_OP_ANY" || kind == "AEXPR_OP_ALL") {
    return source_.At(at, "ANY and ALL are not supported", "write x IN (1, 2, 3)");
  } else if (kind == "AEXPR_BETWEEN_SYM" || kind == "AEXPR_NOT_BETWEEN_SYM") {
    return source_.At(at, "BETWEEN SYMMETRIC is not supported",
                      "write x BETWEEN a AND b OR x BETWEEN b AND a");
  } else {
    return source_.At(at, "this operator is not supported");
  }

  if (body.Has("lexpr")) {
    MILLRACE_ASSIGN(auto left, Expression(body["lexpr"], at, depth + 1));
    out.args.push_back(std::move(left));
  }
  const Json& right = body["rexpr"];
  if (right.Has("List")) {
    MILLRACE_TRY(Arguments(right["List"].Items("items"), depth, &out));
  } else {
    MILLRACE_ASSIGN(auto operand, Expression(right, at, depth + 1));
    out.args.push_back(std::move(operand));
  }
  return out;
}

Result<Syntax> SyntaxReader::Call(const Json& body, int64_t at, int depth) {
  Syntax out;
  out.kind = Syntax::Kind::kCall;
  out.location = at;
  const auto& name = body.Items("funcname");
  for (size_t i = 0; i < name.size(); ++i) {
    const std::string part = NameText(name[i]);
    if (i == 0 && name.size() == 2 && part == "pg_catalog") continue;
    out.text += (out.text.empty() ? "" : ".") + part;
  }
  out.written = Written(out.text, body.Text("funcformat") == "COERCE_SQL_SYNTAX");
  if (body.Has("over")) {
    return source_.At(at, "OVER is not supported: windows are windows of event time",
                      "write FROM tumble(stream, time, INTERVAL '1 hour') and GROUP BY ..., "
                      "window_start, window_end");
  }
  if (body.Has("agg_order") || body.Bool("agg_within_group")) {
    if (!FindAggregate(out.text)) {
      const FunctionRefusal refusal = RefuseFunction(out.text, out.written);
      return refusal.not_yet ? source_.NotYet(at, refusal.what, refusal.hint)
                             : source_.At(at, refusal.what, refusal.hint);
    }
    return source_.At(at, "ORDER BY inside an aggregate is not supported",
                      "leave it out: count, sum, avg, min and max do not depend on order");
  }
  if (body.Bool("func_variadic")) return source_.At(at, "VARIADIC is not supported");
  out.star = body.Bool("agg_star");
  out.distinct = body.Bool("agg_distinct");
  MILLRACE_TRY(Arguments(body.Items("args"), depth, &out));
  if (body.Has("agg_filter")) {
    MILLRACE_ASSIGN(auto filter, Expression(body["agg_filter"], at, depth + 1));
    out.filter.push_back(std::move(filter));
  }
  return out;
}

Result<Syntax> SyntaxReader::Case(const Json& body, int64_t at, int depth) {
  Syntax out;
  out.kind = Syntax::Kind::kCase;
  out.location = at;
  if (body.Has("arg")) {
    out.flag = true;
    MILLRACE_ASSIGN(auto operand, Expression(body["arg"], at, depth + 1));
    out.args.push_back(std::move(operand));
  }
  for (const Json& branch : body.Items("args")) {
    if (branch.kind == Json::Kind::kTooDeep) {
      MILLRACE_TRY(Expression(branch, at, depth + 1));
    }
    const Json& when = branch["CaseWhen"];
    MILLRACE_ASSIGN(auto condition, Expression(when["expr"], at, depth + 1));
    MILLRACE_ASSIGN(auto result, Expression(when["result"], at, depth + 1));
    out.args.push_back(std::move(condition));
    out.args.push_back(std::move(result));
  }
  if (body.Has("defresult")) {
    MILLRACE_ASSIGN(auto otherwise, Expression(body["defresult"], at, depth + 1));
    out.args.push_back(std::move(otherwise));
  } else {
    Syntax none;
    none.kind = Syntax::Kind::kAbsent;
    none.location = at;
    out.args.push_back(std::move(none));
  }
  return out;
}

}  // namespace millrace
