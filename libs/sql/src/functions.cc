#include "functions.h"

#include <algorithm>
#include <iterator>

#include "source.h"
#include "suggest.h"

namespace millrace {
namespace {

constexpr std::string_view kNondeterministic[] = {
    "now",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "timeofday",
    "current_timestamp",
    "current_time",
    "current_date",
    "localtime",
    "localtimestamp",
    "proctime",
    "random",
    "rand",
    "setseed",
    "gen_random_uuid",
    "uuid_generate_v4",
    "uuid",
    "nextval",
    "currval",
    "lastval",
    "current_user",
    "current_role",
    "session_user",
    "user",
    "current_catalog",
    "current_schema",
    "current_database",
    "version",
    "pg_sleep",
    "current_watermark",
};

constexpr std::string_view kAggregatesToCome[] = {
    "stddev",
    "stddev_samp",
    "stddev_pop",
    "variance",
    "var_samp",
    "var_pop",
    "first_value",
    "last_value",
    "bool_and",
    "bool_or",
    "every",
    "approx_count_distinct",
    "approx_percentile",
    "approx_top_k",
    "percentile_cont",
    "percentile_disc",
    "mode",
    "earliest_by_offset",
    "latest_by_offset",
};

constexpr std::string_view kScalarsToCome[] = {
    "lower",
    "upper",
    "length",
    "char_length",
    "character_length",
    "octet_length",
    "substr",
    "substring",
    "btrim",
    "ltrim",
    "rtrim",
    "trim",
    "replace",
    "concat",
    "concat_ws",
    "left",
    "right",
    "lpad",
    "rpad",
    "position",
    "strpos",
    "split_part",
    "starts_with",
    "reverse",
    "initcap",
    "overlay",
    "date_part",
    "extract",
    "date_trunc",
    "date_bin",
    "to_char",
    "to_timestamp",
    "timezone",
    "age",
    "make_timestamptz",
    "regexp_match",
    "regexp_replace",
    "abs",
    "ceil",
    "ceiling",
    "floor",
    "round",
    "trunc",
    "mod",
    "power",
    "pow",
    "sqrt",
    "exp",
    "ln",
    "log",
    "sign",
    "md5",
    "format",
    "json_extract_path_text",
    "like_escape",
};

constexpr std::string_view kScalarHint =
    "functions of one row are coalesce and nullif, beside CASE, CAST and + - * / %; send what else "
    "you need as a column of its own";
constexpr std::string_view kTimeHint =
    "windows are made in FROM; send another part of a time as a column of its own";

struct Instead {
  std::string_view name;
  std::string_view hint;
};

constexpr Instead kInstead[] = {
    {"mod", "write a % b"},
    {"abs", "write CASE WHEN x <= 0 THEN 0 - x ELSE x END"},
    {"sign",
     "write CASE WHEN x < 0 THEN -1 WHEN x > 0 THEN 1 WHEN x = 0 THEN 0 END (a NaN has sign 0 in "
     "PostgreSQL, and 1 here)"},
    {"extract", kTimeHint},
    {"date_part", kTimeHint},
    {"date_trunc", kTimeHint},
    {"date_bin", kTimeHint},
    {"timezone",
     "for windows of local days write tumble(stream, time, INTERVAL '1 day', timezone "
     "=> 'Europe/Berlin')"},
    {"to_timestamp", "write CAST(... AS timestamptz) of a text"},
    {"make_timestamptz", "write CAST(... AS timestamptz) of a text"},
};

struct Known {
  std::string_view name;
  std::string_view what;
  std::string_view hint;
};

constexpr std::string_view kWindowHint =
    "write FROM tumble(stream, time, INTERVAL '1 hour') and GROUP BY ..., window_start, window_end";

constexpr Known kKnown[] = {
    {"tumble", "a window function stands in FROM", kWindowHint},
    {"hop", "a window function stands in FROM", kWindowHint},
    {"session", "a window function stands in FROM", kWindowHint},
    {"cumulate", "a window function stands in FROM", kWindowHint},
    {"tumble_start", "a window's start is a column", "write window_start"},
    {"hop_start", "a window's start is a column", "write window_start"},
    {"session_start", "a window's start is a column", "write window_start"},
    {"tumble_end", "a window's end is a column", "write window_end"},
    {"hop_end", "a window's end is a column", "write window_end"},
    {"session_end", "a window's end is a column", "write window_end"},
    {"tumble_rowtime", "a window's end is a column", "write window_end"},
    {"time_bucket", "time_bucket() is not a function here", kWindowHint},
    {"array_agg", "array_agg() is not supported: arrays are not", ""},
    {"string_agg", "string_agg() is not supported", ""},
    {"ifnull", "ifnull() is not a function here", "write coalesce(a, b)"},
    {"nvl", "nvl() is not a function here", "write coalesce(a, b)"},
    {"iif", "iif() is not a function here", "write CASE WHEN a THEN b ELSE c END"},
    {"collect_list", "collect_list() is not supported: arrays are not", ""},
    {"window", "window() is not a function here", kWindowHint},
    {"count_distinct", "count_distinct() is not a function here", ""},
    {"overlaps", "OVERLAPS is not supported", "compare the four times with < and AND"},
    {"is_normalized", "IS NORMALIZED is not supported", ""},
    {"pg_collation_for", "COLLATION FOR is not supported", ""},
};

bool Contains(const auto& list, std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

}  // namespace

std::optional<Aggregate> FindAggregate(std::string_view name) {
  if (name == "count") return Aggregate::kCount;
  if (name == "sum") return Aggregate::kSum;
  if (name == "min") return Aggregate::kMin;
  if (name == "max") return Aggregate::kMax;
  if (name == "avg") return Aggregate::kAvg;
  return std::nullopt;
}

FunctionRefusal RefuseFunction(std::string_view name, const std::string& written) {
  FunctionRefusal out;
  if (Contains(kNondeterministic, name)) {
    out.what = written +
               " is refused: a result is a function of the events alone, so that a replay "
               "gives the same rows";
    out.hint = "use the event time, window_start or window_end";
    return out;
  }
  if (Contains(kAggregatesToCome, name)) {
    out.not_yet = true;
    out.what = written + " is not available yet";
    out.hint = "aggregates are count, sum, avg, min, max";
    return out;
  }
  if (Contains(kScalarsToCome, name)) {
    out.not_yet = true;
    out.what = written + " is not available yet";
    const auto* instead = std::find_if(std::begin(kInstead), std::end(kInstead),
                                       [&](const Instead& i) { return i.name == name; });
    out.hint = instead == std::end(kInstead) ? kScalarHint : instead->hint;
    return out;
  }
  for (const Known& known : kKnown) {
    if (known.name != name) continue;
    out.what = known.what;
    out.hint = known.hint;
    return out;
  }
  out.what = "unknown function " + written;
  out.hint = DidYouMean(name, {"count", "sum", "avg", "min", "max", "coalesce", "nullif"},
                        "functions are count, sum, avg, min, max, coalesce, nullif");
  return out;
}

}  // namespace millrace
