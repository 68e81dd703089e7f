#include "millrace/serving/table_shape.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>

#include "millrace/base/facts.h"

namespace millrace {
namespace {

/// SQL databases tell names apart without regard to ASCII case.
std::string Folded(std::string name) {
  for (char& c : name) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return name;
}

bool Taken(const std::vector<ServingColumn>& columns, const std::string& name) {
  return std::any_of(columns.begin(), columns.end(), [folded = Folded(name)](const auto& column) {
    return Folded(column.name) == folded;
  });
}

Status CheckColumns(const std::vector<ServingColumn>& columns, const std::string& view) {
  size_t count = 0;
  for (const ServingColumn& c : columns) count += c.type == Type::kNumeric ? 2 : 1;
  if (count > kMaxServingColumns) {
    return InvalidArgument("a result table has too many columns: select fewer",
                           {{"view", view}, {"columns", count}, {"limit", kMaxServingColumns}});
  }
  std::set<std::string> seen = {"_deleted"};
  for (const ServingColumn& c : columns) {
    if (c.name.empty() || c.name.find('\0') != c.name.npos || !seen.insert(Folded(c.name)).second) {
      return InvalidArgument(
          "a result column needs a name of its own, regardless of case: rename it with AS",
          {{"column", c.name}, {"view", view}});
    }
  }
  return {};
}

std::string FailedRow(const PipelineSpec& pipeline, const OutputRow& row) {
  std::string json = "{\"window_start\":" + JsonQuote(FormatTimestamp(row.window_start)) +
                     ",\"window_end\":" + JsonQuote(FormatTimestamp(row.window_end));
  std::vector<Type> types;
  for (const GroupColumn& g : pipeline.group_by) types.push_back(g.expr.type);
  const auto values = DecodeKey(row.key, types);
  for (const OutputColumn& c : pipeline.select) {
    if (c.group_column < 0 || !values.ok()) continue;
    json +=
        "," + JsonQuote(c.name) + ":" + ValueJson((*values)[static_cast<size_t>(c.group_column)]);
  }
  return json + "}";
}

Value Text(std::string s) { return {Type::kText, std::move(s)}; }
Value Integer(Type type, int64_t v) { return {type, v}; }

template <typename T>
bool ParseAll(const std::string& text, T* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size();
}

bool ParseNumeric(std::string_view text, Int128* out) {
  constexpr size_t kMostDigits = 38;
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.empty() || text.size() > kMostDigits) return false;
  Int128 v = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    v = v * 10 + (c - '0');
  }
  *out = negative ? -v : v;
  return true;
}

/// The input row of a SELECT is the group columns, then window_start and window_end.
bool IsOfGroup(const PipelineSpec& pipeline, const OutputColumn& column) {
  return column.expr.op == Expr::Op::kColumn &&
         column.expr.index < static_cast<int32_t>(pipeline.group_by.size()) + 2;
}

}  // namespace

std::vector<ServingColumn> ServingColumns(const StreamSpec& stream, const PipelineSpec& pipeline,
                                          Output output) {
  std::vector<ServingColumn> columns;
  if (output == Output::kLate || output == Output::kQuarantine) {
    columns = {{"partition", Type::kInt, false},
               {"offset", Type::kBigint, false},
               {"row", Type::kInt, false}};
    if (output == Output::kQuarantine) {
      for (const char* name : {"kind", "reason", "detail", "payload"})
        columns.push_back({name, Type::kText, false});
    } else {
      columns.push_back({"event_time", Type::kTimestamp, false});
      columns.push_back({"missed", Type::kBigint, false});
      columns.push_back({"first_missed_end", Type::kTimestamp, false});
      columns.push_back({"last_missed_end", Type::kTimestamp, false});
      for (const ColumnSpec& c : stream.columns) {
        columns.push_back({FreeColumnName(columns, c.name), c.type, false});
      }
    }
  } else {
    for (const OutputColumn& c : pipeline.select) columns.push_back({c.name, c.expr.type, false});
    columns.push_back({"_key", Type::kText, true});
    columns.push_back({"_revision", Type::kBigint, true});
    columns.push_back({"_provisional", Type::kBool, true});
    columns.push_back({"_gap", Type::kBool, true});
    columns.push_back({"_overflow", Type::kBool, true});
  }
  columns.push_back({"_shard", Type::kText, true});
  columns.push_back({"_seq", Type::kBigint, true});
  columns.push_back({"_updated_at", Type::kTimestamp, true});
  return columns;
}

Status CheckServingTables(const StreamSpec& stream, const PipelineSpec& pipeline) {
  for (const Output output : {Output::kResults, Output::kLate, Output::kQuarantine}) {
    const std::string view = ServingViewName(pipeline.name_space, pipeline.name, output);
    if (Folded(view).starts_with("sqlite_")) {
      return InvalidArgument(
          "names that begin with sqlite_ are the serving store's own: choose another name for the "
          "view",
          {{"view", view}});
    }
    MILLRACE_TRY(CheckColumns(ServingColumns(stream, pipeline, output), view));
  }
  return {};
}

std::string FreeColumnName(const std::vector<ServingColumn>& columns, std::string name) {
  while (Taken(columns, name)) name += "_";
  return name;
}

size_t RowBytes(const std::vector<Value>& row) {
  size_t bytes = row.size() * sizeof(Value);
  for (const Value& v : row) {
    if (const auto* text = std::get_if<std::string>(&v.data)) bytes += text->size();
  }
  return bytes;
}

bool IsServingMeta(std::string_view name) {
  for (const char* meta : {"_key", "_revision", "_provisional", "_gap", "_overflow", "_shard",
                           "_seq", "_updated_at"}) {
    if (name == meta) return true;
  }
  return false;
}

std::vector<Value> ServingCells(const PipelineSpec& pipeline, const ShardId& shard,
                                const OutputRow& row) {
  std::vector<Value> cells;
  if (row.output == Output::kLate || row.output == Output::kQuarantine) {
    cells = {Integer(Type::kInt, shard.partition.value), Integer(Type::kBigint, row.cause.value),
             Integer(Type::kInt, row.cause_row)};
  }
  if (row.output == Output::kQuarantine) {
    cells.push_back(Text(row.is_row ? "row" : "event"));
    cells.push_back(Text(std::string(ReasonName(row.reason))));
    cells.push_back(Text(row.detail));
    cells.push_back(
        Text(row.is_row && row.payload.empty() ? FailedRow(pipeline, row) : row.payload));
  } else if (row.output == Output::kLate) {
    cells.push_back(Integer(Type::kTimestamp, row.event_time));
    cells.push_back(Integer(Type::kBigint, row.missed));
    cells.push_back(Integer(Type::kTimestamp, row.first_missed_end));
    cells.push_back(Integer(Type::kTimestamp, row.last_missed_end));
    cells.insert(cells.end(), row.values.begin(), row.values.end());
  } else {
    cells = row.values;
    cells.push_back(Text(ServingKey(row)));
    cells.push_back(Integer(Type::kBigint, row.revision));
    cells.push_back(Integer(Type::kBool, row.output == Output::kProvisional ? 1 : 0));
    cells.push_back(Integer(Type::kBool, row.gap ? 1 : 0));
    cells.push_back(Integer(Type::kBool, 0));
  }
  cells.push_back(Text("p" + std::to_string(shard.partition.value)));
  cells.push_back(Integer(Type::kBigint, row.seq));
  cells.push_back(Integer(Type::kTimestamp, row.caused_at));
  return cells;
}

Status CheckKeys(const PipelineSpec& pipeline, const ServingQuery& query) {
  for (const auto& [name, text] : query.keys) {
    std::string names;
    const OutputColumn* asked = nullptr;
    for (const OutputColumn& column : pipeline.select) {
      if (!IsOfGroup(pipeline, column)) continue;
      names += (names.empty() ? "" : ", ") + column.name;
      if (column.name == name) asked = &column;
    }
    if (asked == nullptr)
      return InvalidArgument(
          "a key is a value of a group column, which are: " + names + "; filter others in SQL",
          {{"column", name}, {"pipeline", pipeline.name}});
    MILLRACE_TRY(ParseKeyText(name, asked->expr.type, text));
  }
  return {};
}

Result<Value> ParseKeyText(const std::string& column, Type type, const std::string& text) {
  if (text == std::string(1, '\0')) return Value{type, {}};
  const auto bad = [&](const char* expected) {
    return InvalidArgument("a key is not a value of its column: expected " + std::string(expected),
                           {{"column", column}, {"type", TypeName(type)}, {"value", text}});
  };
  switch (type) {
    case Type::kText:
      return Text(text);
    case Type::kBool:
      if (text != "true" && text != "false") return bad("true or false");
      return Integer(type, text == "true" ? 1 : 0);
    case Type::kTimestamp: {
      const auto t = ParseTimestamp(text);
      if (!t.ok()) return bad("a time such as 2001-01-01T00:00:00Z");
      return Integer(type, *t);
    }
    case Type::kDouble: {
      double v = 0;
      if (text == "NaN") return Value{type, std::numeric_limits<double>::quiet_NaN()};
      if (text == "Infinity") return Value{type, std::numeric_limits<double>::infinity()};
      if (text == "-Infinity") return Value{type, -std::numeric_limits<double>::infinity()};
      // from_chars takes other spellings of NaN and infinity.
      if (text.find_first_of("nNiI") != text.npos || !ParseAll(text, &v))
        return bad("a number, NaN, Infinity or -Infinity");
      return Value{type, v};
    }
    case Type::kNumeric: {
      Int128 v = 0;
      if (!ParseNumeric(text, &v)) return bad("an integer of at most 38 digits");
      return Value{type, v};
    }
    case Type::kInt: {
      int32_t v = 0;
      if (!ParseAll(text, &v)) return bad("an integer from -2147483648 to 2147483647");
      return Integer(type, v);
    }
    case Type::kBigint: {
      int64_t v = 0;
      if (!ParseAll(text, &v))
        return bad("an integer from -9223372036854775808 to 9223372036854775807");
      return Integer(type, v);
    }
  }
  return bad("a known type");
}

std::string ServingViewName(const std::string& name_space, const std::string& name, Output output) {
  std::string view = name_space == "default" ? name : name_space + "." + name;
  if (output == Output::kLate) view += "_late";
  if (output == Output::kQuarantine) view += "_quarantine";
  return view;
}

Status CheckServingBatch(const ServingBatch& batch) {
  LastRows last = batch.from;
  constexpr auto kFiles = static_cast<size_t>(Output::kFiles);
  if (batch.from[kFiles] != LastRow() || batch.to[kFiles] != LastRow())
    return Internal("a batch moves the fence of files, which have none",
                    {{"shard", batch.shard.ToString()}});
  for (const OutputRow& row : batch.rows) {
    const auto output = static_cast<size_t>(row.output);
    if (row.output == Output::kFiles || row.seq <= last[output].seq ||
        row.seq > batch.to[output].seq)
      return Internal("a batch holds a row that is not its own",
                      {{"shard", batch.shard.ToString()},
                       {"output", OutputName(row.output)},
                       {"seq", row.seq},
                       {"from", batch.from[output].seq},
                       {"to", batch.to[output].seq}});
    last[output].seq = row.seq;
  }
  return {};
}

Error RefusedRow(const ShardId& shard, const OutputRow& row, std::string_view why) {
  return InvalidArgument("the serving table does not take a row: change what refuses it",
                         {{"shard", shard.ToString()},
                          {"output", OutputName(row.output)},
                          {"row", row.seq},
                          {"offset", row.cause.value},
                          {"error", why}});
}

}  // namespace millrace
