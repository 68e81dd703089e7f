#pragma once

#include <string>
#include <utility>

#include "millrace/sql/plan_codec.h"
#include "millrace/sql/plan_text.h"
#include "millrace/sql/planner.h"
#include "support/catch.h"

namespace millrace::sql_test {

inline const std::string kTable =
    "CREATE TABLE s (ts timestamptz NOT NULL, k text, j int, v bigint, d double precision, b "
    "boolean, t2 timestamptz) WITH (partition_key = 'k', event_time = 'ts', watermark_delay = '0 "
    "seconds');\n";

/// A view over kTable's stream, piece by piece. Its WITH is on line 2 of the script, SELECT on 3,
/// FROM on 4, WHERE on 5, GROUP BY on 6, HAVING on 7.
struct View {
  std::string with;
  std::string select = "k, window_start, window_end, count(*) AS n";
  std::string from = "tumble(s, ts, INTERVAL '10 seconds')";
  std::string where;
  std::string group = "k, window_start, window_end";
  std::string having;

  std::string Sql() const {
    return kTable + "CREATE MATERIALIZED VIEW r " + with + " AS\nSELECT " + select + "\nFROM " +
           from + "\n" + where + "\nGROUP BY " + group + "\n" + having;
  }
};

/// The one stream of a script.
inline StreamSpec PlanStream(const std::string& sql) {
  auto plans = PlanScript(sql);
  INFO(sql << (plans.ok() ? "" : plans.error().message));
  REQUIRE(plans.ok());
  REQUIRE(plans->size() == 1);
  return std::get<StreamSpec>(plans->front());
}

/// The view of a script of a stream and a view; what the planner makes is checked as what comes
/// from outside is.
inline PipelineSpec PlanPipeline(const std::string& sql, const PlannerOptions& options = {}) {
  auto plans = PlanScript(sql, {}, options);
  INFO(sql << "\n" << (plans.ok() ? "" : plans.error().message));
  REQUIRE(plans.ok());
  REQUIRE(plans->size() == 2);
  auto view = std::get<PipelineSpec>(plans->back());
  const Status checked = CheckPipeline(view, std::get<StreamSpec>(plans->front()));
  INFO((checked.ok() ? "" : checked.error().message));
  REQUIRE(checked.ok());
  return view;
}
inline PipelineSpec PlanPipeline(const View& view) { return PlanPipeline(view.Sql()); }

/// The first line of the plan's text that begins with `name`, without it.
inline std::string Line(const PipelineSpec& spec, const std::string& name) {
  const std::string text = PlanText(spec);
  const size_t at = text.find("\n" + name + " ");
  if (at == std::string::npos) return "";
  const size_t start = at + name.size() + 2;
  return text.substr(start, text.find('\n', start) - start);
}

inline std::string Where(const std::string& condition) {
  View view;
  view.where = "WHERE " + condition;
  return Line(PlanPipeline(view), "where");
}

/// The expression of SELECT's last column, which is `expression`.
inline std::string Select(const std::string& expression) {
  View view;
  view.select = "k, window_start, window_end, " + expression + " AS x";
  const PipelineSpec spec = PlanPipeline(view);
  const std::string text = PlanText(spec);
  const std::string prefix = "\nselect \"x\" -1 ";
  const size_t start = text.find(prefix) + prefix.size();
  return text.substr(start, text.find('\n', start) - start);
}

inline Error ErrorOf(const std::string& sql) {
  const auto plans = PlanScript(sql);
  INFO(sql);
  REQUIRE_FALSE(plans.ok());
  return plans.error();
}
inline Error ErrorOf(const View& view) { return ErrorOf(view.Sql()); }

inline View WithWhere(const std::string& condition) {
  View view;
  view.where = "WHERE " + condition;
  return view;
}
inline View WithSelect(const std::string& select) {
  View view;
  view.select = "k, window_start, window_end, " + select;
  return view;
}
inline View WithFrom(const std::string& from) {
  View view;
  view.from = from;
  return view;
}
inline View WithOptions(const std::string& with) {
  View view;
  view.with = "WITH (" + with + ")";
  return view;
}
inline View WithHaving(const std::string& having) {
  View view;
  view.having = having;
  return view;
}
inline View WithGroup(const std::string& group) {
  View view;
  view.group = group;
  return view;
}

}  // namespace millrace::sql_test
