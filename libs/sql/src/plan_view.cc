#include <algorithm>

#include "expression.h"
#include "functions.h"
#include "interval.h"
#include "millrace/model/object_keys.h"
#include "options.h"
#include "plan_statement.h"
#include "suggest.h"

namespace millrace {
namespace {

using Op = Expr::Op;
using Kind = Syntax::Kind;

constexpr std::string_view kWindowColumns[] = {"window_start", "window_end"};

/// The name PostgreSQL gives a column of SELECT without AS, or empty.
std::string NaturalName(const Syntax& syntax) {
  switch (syntax.kind) {
    case Kind::kColumn:
    case Kind::kCall:
      return syntax.text;
    case Kind::kCoalesce:
      return "coalesce";
    case Kind::kNullIf:
      return "nullif";
    case Kind::kCase:
      return "case";
    case Kind::kCast:
      return NaturalName(syntax.args[0]);
    default:
      return "";
  }
}

class ViewPlanner {
 public:
  ViewPlanner(const Source& source, const ViewSyntax& view, const StreamSpec& stream,
              const PlannerOptions& options)
      : source_(source),
        view_(view),
        stream_(stream),
        options_(options),
        expressions_(source, stream, view.from_alias.empty() ? stream.name : view.from_alias) {
    out_.name_space = stream.name_space;
    out_.name = view.name.name;
    out_.stream = stream.name;
    out_.schema_id = stream.schema_id;
  }

  Result<PipelineSpec> Plan() {
    MILLRACE_TRY(ReadOptions());
    MILLRACE_TRY(CheckTimeArgument());
    MILLRACE_ASSIGN(out_.window, PlanWindow(source_, view_.from));
    std::vector<std::string> aliases;
    for (const ItemSyntax& item : view_.select) aliases.push_back(item.alias);
    expressions_.SetAliases(std::move(aliases));
    if (view_.where) {
      MILLRACE_ASSIGN(out_.where, expressions_.Condition(*view_.where, Clause::kWhere));
    }
    MILLRACE_TRY(PlanGroups());
    MILLRACE_TRY(PlanSelect());
    if (view_.having) {
      MILLRACE_ASSIGN(out_.having, expressions_.Condition(*view_.having, Clause::kHaving));
    }
    out_.group_by = expressions_.groups();
    out_.aggregates = expressions_.aggregates();
    MILLRACE_TRY(CheckStages());
    return std::move(out_);
  }

 private:
  Status ReadOptions() {
    const Options options(source_, view_.options, "CREATE MATERIALIZED VIEW");
    MILLRACE_TRY(
        options.CheckNames({"allowed_lateness", "emit", "start", "file_interval", "file_idle"}));
    MILLRACE_TRY(options.ReadDuration("allowed_lateness", 0, &out_.allowed_lateness));
    MILLRACE_ASSIGN(const int emit, options.Choice("emit", {"final", "updates"}, 0));
    out_.updates = emit == 1;
    MILLRACE_TRY(options.ReadDuration("file_interval", 1, &out_.file_interval));
    if (kDay % out_.file_interval != 0) {
      return source_.At(options.Find("file_interval")->location,
                        "file_interval must divide a day evenly",
                        "write for example '15 minutes', '1 hour', '6 hours' or '1 day'");
    }
    MILLRACE_TRY(options.ReadDuration("file_idle", 1, &out_.file_idle));
    MILLRACE_ASSIGN(const auto start, options.Text("start"));
    if (!start || *start == "earliest") return {};
    if (*start == "latest") {
      out_.start = StartKind::kLatest;
      return {};
    }
    const auto time = ParseTimestamp(*start);
    if (!time.ok()) {
      return source_.At(options.Find("start")->location,
                        "option \"start\" is 'earliest', 'latest' or a time: '" + *start + "'",
                        "write a time as '2001-02-03T04:05:06Z'");
    }
    if (!IsEventTime(*time)) {
      return source_.At(options.Find("start")->location,
                        "option \"start\": the time is out of range: '" + *start + "'", kTimeRange);
    }
    out_.start = StartKind::kTime;
    out_.start_time = *time;
    return {};
  }

  Status CheckTimeArgument() {
    const std::string time = stream_.columns[static_cast<size_t>(stream_.event_time)].name;
    const std::string hint =
        "write " + view_.from.text + "(" + stream_.name + ", " + time + ", ...)";
    const bool zoned = view_.from.args.size() > 1 && view_.from.args[1].kind == Kind::kCall &&
                       view_.from.args[1].text == "timezone";
    if (zoned) {
      const auto& zone = view_.from.args[1].args;
      const bool text = !zone.empty() && zone[0].kind == Kind::kString;
      return source_.At(
          view_.from.args[1].location, "the event time of a window takes no AT TIME ZONE",
          "write " + time + " alone, and for local days add an argument: timezone => '" +
              (text ? zone[0].text : "Europe/Berlin") + "'");
    }
    if (view_.from.args.size() < 2 || view_.from.args[1].kind != Kind::kColumn) {
      return source_.At(view_.from.location,
                        view_.from.text + "() takes the event time as its second argument", hint);
    }
    const Syntax& argument = view_.from.args[1];
    const int32_t column = expressions_.StreamColumn(argument);
    if (column != stream_.event_time) {
      const std::string what =
          column < 0 ? "unknown column " + Quoted(argument.text)
                     : Quoted(argument.text) + " is not the event time of " + Quoted(stream_.name);
      return source_.At(argument.location, what, hint);
    }
    return {};
  }

  static bool IsWindowColumn(const Syntax& syntax, size_t which) {
    return syntax.kind == Kind::kColumn && syntax.text == kWindowColumns[which];
  }

  /// What an element of GROUP BY stands for: PostgreSQL takes a number as a position in SELECT,
  /// and a bare name as a column first and as a name given in SELECT second.
  Result<const Syntax*> ResolveGroup(const Syntax& group) {
    if (group.kind == Kind::kInteger) {
      size_t position = 0;
      for (const char c : group.text) {
        if (c == '-' || position > view_.select.size()) position = view_.select.size();
        if (c != '-') position = position * 10 + static_cast<size_t>(c - '0');
      }
      if (position == 0 || position > view_.select.size()) {
        return source_.At(group.location, "GROUP BY position " + group.text + " is not in SELECT",
                          "SELECT has " + std::to_string(view_.select.size()) + " columns");
      }
      return &view_.select[position - 1].expr;
    }
    if (group.kind == Kind::kColumn && group.qualifier.empty() &&
        expressions_.StreamColumn(group) < 0) {
      for (const ItemSyntax& item : view_.select) {
        if (item.alias == group.text) return &item.expr;
      }
    }
    return &group;
  }

  Status PlanGroups() {
    const std::string hint = "write GROUP BY ..., window_start, window_end";
    if (view_.group_by.empty()) {
      return source_.At(view_.select_location, "the view has no GROUP BY", hint);
    }
    bool seen[2] = {false, false};
    std::vector<GroupColumn> groups;
    for (const Syntax& element : view_.group_by) {
      MILLRACE_ASSIGN(const Syntax* group, ResolveGroup(element));
      bool is_window = false;
      for (size_t which = 0; which < 2; ++which) {
        if (!IsWindowColumn(*group, which)) continue;
        seen[which] = true;
        is_window = true;
      }
      if (is_window) continue;
      MILLRACE_ASSIGN(Expr expr, expressions_.Plan(*group, Clause::kGroupBy));
      if (expr.op == Op::kLiteral) {
        return source_.At(element.location, "GROUP BY has a constant", "leave it out");
      }
      const GroupColumn column{std::move(expr)};
      if (std::find(groups.begin(), groups.end(), column) == groups.end()) {
        groups.push_back(column);
        group_locations_.push_back(element.location);
      }
    }
    for (size_t which = 0; which < 2; ++which) {
      if (seen[which]) continue;
      return source_.At(view_.group_by.front().location,
                        "GROUP BY must have " + std::string(kWindowColumns[which]), hint);
    }
    expressions_.SetGroups(std::move(groups));
    return {};
  }

  Status PlanSelect() {
    const size_t groups = expressions_.groups().size();
    std::vector<bool> named(groups + 2, false);
    std::vector<std::string> names;
    std::vector<int64_t> locations;
    for (const ItemSyntax& item : view_.select) {
      OutputColumn column;
      MILLRACE_ASSIGN(column.expr, expressions_.Plan(item.expr, Clause::kSelect));
      column.name = item.alias.empty() ? NaturalName(item.expr) : item.alias;
      if (column.name.empty()) {
        return source_.At(item.expr.location, "this column has no name",
                          "write the expression AS name");
      }
      if (IsDateFolderColumn(column.name)) {
        return source_.At(item.expr.location,
                          "a view cannot have a column " + Quoted(column.name) +
                              ": readers of its files take the folders for a column of that name",
                          "write the expression AS another name");
      }
      if (column.expr.op == Op::kColumn && static_cast<size_t>(column.expr.index) < groups + 2) {
        const auto index = static_cast<size_t>(column.expr.index);
        named[index] = true;
        if (index < groups) column.group_column = column.expr.index;
      }
      names.push_back(column.name);
      locations.push_back(item.expr.location);
      out_.select.push_back(std::move(column));
    }
    for (size_t i = 0; i < groups + 2; ++i) {
      if (named[i]) continue;
      if (i >= groups) {
        return source_.At(view_.select_location,
                          "SELECT must name " + std::string(kWindowColumns[i - groups]),
                          "every column of GROUP BY is part of a row's key");
      }
      return source_.At(group_locations_[i], "SELECT does not name this column of GROUP BY",
                        "every column of GROUP BY is part of a row's key: add it to SELECT");
    }
    return CheckColumnNames(source_, names, locations);
  }

  /// One stage does only if the rows of a group are certain to share a partition.
  Status CheckStages() {
    if (options_.any_grouping || stream_.partitions == 1) return {};
    if (stream_.partition_key < 0) {
      return source_.NotYet(
          view_.group_by.front().location,
          "the groups may span partitions: " + Quoted(stream_.name) + " has " +
              std::to_string(stream_.partitions) +
              " partitions and no partition_key; aggregation in two stages is not available yet",
          "give the stream partition_key = 'column' and group by that column, or partitions = 1");
    }
    for (const GroupColumn& group : out_.group_by) {
      if (group.expr.op == Op::kColumn && group.expr.index == stream_.partition_key) return {};
    }
    const std::string& key = stream_.columns[static_cast<size_t>(stream_.partition_key)].name;
    return source_.NotYet(
        view_.group_by.front().location,
        "the groups may span partitions: GROUP BY does not have " + Quoted(key) +
            ", the partition_key of " + Quoted(stream_.name) +
            "; aggregation in two stages is not available yet",
        "add " + key + " to GROUP BY and SELECT, or give the stream partitions = 1");
  }

  const Source& source_;
  const ViewSyntax& view_;
  const StreamSpec& stream_;
  const PlannerOptions& options_;
  ExpressionPlanner expressions_;
  std::vector<int64_t> group_locations_;
  PipelineSpec out_;
};

/// The first argument of the window function: the stream.
Result<const StreamSpec*> FindStream(const Source& source, const ViewSyntax& view,
                                     const std::string& name_space, const StreamLookup& streams,
                                     const std::vector<std::string>& stream_names) {
  const Syntax& from = view.from;
  if (from.args.empty() || from.args[0].kind != Kind::kColumn) {
    return source.At(from.location, from.text + "() takes a stream as its first argument",
                     "write " + from.text + "(stream, time, INTERVAL '1 hour')");
  }
  const Syntax& name = from.args[0];
  const std::string space = name.qualifier.empty() ? name_space : name.qualifier;
  if (space != name_space) {
    return source.At(
        name.location,
        "the view is in namespace " + Quoted(name_space) + ", the stream in " + Quoted(space),
        "write CREATE MATERIALIZED VIEW " + space + "." + view.name.name);
  }
  const StreamSpec* stream = streams(space, name.text);
  if (stream == nullptr) {
    const std::string prefix = space + ".";
    std::vector<std::string> names;
    for (const std::string& there : stream_names) {
      if (there.starts_with(prefix)) names.push_back(there.substr(prefix.size()));
    }
    return source.At(name.location, "unknown stream " + Quoted(space + "." + name.text),
                     DidYouMean(name.text, names,
                                "declare it first: CREATE TABLE " + name.text +
                                    " (...) WITH (...); `millrace stream list` shows what there "
                                    "is"));
  }
  return stream;
}

}  // namespace

Result<PipelineSpec> PlanView(const Source& source, const ViewSyntax& view,
                              const StreamLookup& streams, const PlannerOptions& options) {
  const std::string& function = view.from.text;
  if (function == "session" || function == "cumulate") {
    return source.NotYet(view.from.location, function + "() is not available yet",
                         "windows are tumble(stream, time, size) and hop(stream, time, slide, "
                         "size)");
  }
  if (function != "tumble" && function != "hop") {
    return source.At(view.from.location, "unknown window function " + function + "()",
                     DidYouMean(function, {"tumble", "hop"},
                                "write tumble(stream, time, size) or hop(stream, time, slide, "
                                "size)"));
  }
  for (const std::string_view suffix : {"_late", "_quarantine"}) {
    if (view.name.name.ends_with(suffix)) {
      return source.At(view.name.location,
                       "a view's name cannot end in " + std::string(suffix) +
                           ": tables of other views are called so",
                       "choose another name");
    }
  }
  const std::string name_space =
      view.name.name_space.empty() ? options.name_space : view.name.name_space;
  MILLRACE_ASSIGN(const StreamSpec* stream,
                  FindStream(source, view, name_space, streams, options.stream_names));
  return ViewPlanner(source, view, *stream, options).Plan();
}

}  // namespace millrace
