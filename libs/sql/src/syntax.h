#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "millrace/base/result.h"
#include "source.h"

namespace millrace {

/// What the parser read, before names and types mean anything. Locations are byte offsets.

struct TypeSyntax {
  std::string name;           ///< as PostgreSQL's catalogue has it: int4, int8, float8, text, ...
  bool has_modifier = false;  ///< varchar(10), numeric(3, 2)
  bool is_array = false;
  int64_t interval_fields = 0;  ///< of INTERVAL '1' HOUR: PostgreSQL's field mask
  int64_t location = 0;
};

struct Syntax {
  enum class Kind : uint8_t {
    kColumn,   ///< `text`, perhaps `qualifier`
    kInteger,  ///< `text`, with its sign
    kDecimal,
    kString,
    kBoolean,  ///< `flag`
    kNull,
    kUnary,   ///< operator `text`
    kBinary,  ///< operator `text`
    kAnd,
    kOr,
    kNot,
    kIsNull,
    kIsNotNull,
    kIn,  ///< args[0] in the others
    kNotIn,
    kBetween,
    kNotBetween,
    kCase,  ///< with `flag` args[0] is the operand; then when, then, ...; last the ELSE or kAbsent
    kCoalesce,
    kNullIf,
    kCast,           ///< args[0] to `type`
    kCall,           ///< function `text`
    kNamedArgument,  ///< `text` => args[0]
    kAbsent,
  };

  Kind kind = Kind::kNull;
  int64_t location = 0;
  std::string text;
  std::string qualifier;
  bool flag = false;
  TypeSyntax type;
  std::vector<Syntax> args;
  /// Of a call.
  std::string written;  ///< the function as the script has it, for messages: "trim()"
  bool star = false;
  bool distinct = false;
  std::vector<Syntax> filter;  ///< none or one
};

struct NameSyntax {
  std::string name_space;  ///< empty: the default
  std::string name;
  int64_t location = 0;
};

struct OptionSyntax {
  enum class Kind : uint8_t { kNone, kText, kNumber };
  std::string name;
  Kind kind = Kind::kNone;
  std::string value;
  int64_t location = 0;
};

struct ColumnSyntax {
  std::string name;
  TypeSyntax type;
  bool not_null = false;
  bool quoted = false;
  int64_t location = 0;
};

struct TableSyntax {
  NameSyntax name;
  std::vector<ColumnSyntax> columns;
  std::vector<OptionSyntax> options;
};

struct ItemSyntax {
  Syntax expr;
  std::string alias;
};

struct ViewSyntax {
  NameSyntax name;
  std::vector<OptionSyntax> options;
  std::vector<ItemSyntax> select;
  int64_t select_location = 0;
  Syntax from;  ///< a call
  std::string from_alias;
  std::optional<Syntax> where;
  std::vector<Syntax> group_by;
  std::optional<Syntax> having;
};

/// DROP TABLE or DROP MATERIALIZED VIEW.
struct DropSyntax {
  bool view = false;
  bool if_exists = false;
  std::vector<NameSyntax> names;
};

/// ALTER TABLE ... SET (option = value, ...) or RESET (option, ...).
struct AlterSyntax {
  NameSyntax name;
  bool reset = false;
  std::vector<OptionSyntax> options;
};

using StatementSyntax = std::variant<TableSyntax, ViewSyntax, AlterSyntax, DropSyntax>;

/// Deepest nesting of an expression, in the syntax and in the plan.
inline constexpr int kMaxExprDepth = 100;

/// `name` may name a namespace, stream or view.
bool IsPlainName(std::string_view name);

/// Parses a script and refuses every construct that no statement of ours has.
Result<std::vector<StatementSyntax>> ParseStatements(const Source& source);

}  // namespace millrace
