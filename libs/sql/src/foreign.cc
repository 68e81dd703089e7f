#include "foreign.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

#include "tokens.h"

namespace millrace {
namespace {

constexpr std::string_view kWindowHint =
    "write FROM tumble(stream, time, INTERVAL '1 hour') or FROM hop(stream, time, slide, size), "
    "and GROUP BY ..., window_start, window_end";

struct Form {
  /// Words or symbols in a row; "|" between alternatives, "#" any number, "'" any quoted text.
  std::vector<std::string_view> pattern;
  std::string_view what;
  std::string_view hint;
};

const std::vector<Form>& Forms() {
  static const std::vector<Form> forms = {
      {{"table", "(", "cumulate|session"},
       "windows of this kind are not available yet",
       "windows are tumble(stream, time, size) and hop(stream, time, slide, size)"},
      {{"cumulate|session", "(", "table|data"},
       "windows of this kind are not available yet",
       "windows are tumble(stream, time, size) and hop(stream, time, slide, size)"},
      {{"window", "("},
       "window() is not a function here",
       "write FROM tumble(stream, time, INTERVAL '1 hour') and GROUP BY ..., window_start, "
       "window_end"},
      {{"offset", "=", ">"},
       "OFFSET is a word of SQL: as the name of an argument it stands in quotes",
       "write \"offset\" => INTERVAL '6 hours', or the interval alone behind the size"},
      {{"unsigned"},
       "UNSIGNED is not part of a type",
       "write bigint: it holds up to 9223372036854775807; a text holds more"},
      {{"table", "(", "tumble|hop"},
       "a window function stands in FROM itself, without TABLE( )",
       kWindowHint},
      {{"tumble|hop", "(", "table"},
       "a window function takes the name of its stream, without TABLE",
       kWindowHint},
      {{"tumble|hop", "(", "data"},
       "a window function takes its stream and time by position",
       kWindowHint},
      {{"descriptor", "("},
       "a window function takes the name of the time column, without DESCRIPTOR( )",
       kWindowHint},
      {{"watermark", "for"},
       "WATERMARK FOR is not a clause of a table",
       "write ) WITH (event_time = 'column', watermark_delay = '5 seconds') behind the columns"},
      {{"window", "tumbling"},
       "WINDOW TUMBLING is not a clause of a query",
       "write FROM tumble(stream, time, INTERVAL '1 hour') and GROUP BY ..., window_start, "
       "window_end"},
      {{"window", "hopping"},
       "WINDOW HOPPING is not a clause of a query",
       "write FROM hop(stream, time, INTERVAL '10 minutes', INTERVAL '1 hour') (slide, then size) "
       "and GROUP BY ..., window_start, window_end"},
      {{"window", "session"},
       "WINDOW SESSION is not a clause of a query, and sessions are not available yet",
       kWindowHint},
      {{"emit", "changes"},
       "EMIT CHANGES is not needed: every view keeps its result up to date",
       "leave it out; to see rows of open windows too, write WITH (emit = 'updates') before AS"},
      {{"emit", "final"},
       "EMIT FINAL is not needed: a row comes out when its window closes",
       "leave it out"},
      {{"emit", "on", "window", "close"},
       "EMIT ON WINDOW CLOSE is not needed: a row comes out when its window closes",
       "leave it out"},
      {{"emit", "on|with|without|every|after"},
       "EMIT is not a clause of a query",
       "a row comes out when its window closes; to see rows of open windows too, write "
       "WITH (emit = 'updates') before AS"},
      {{"create", "stream|source"},
       "a stream is made with CREATE TABLE",
       "write CREATE TABLE name (column type, ...) WITH (event_time = 'column', watermark_delay = "
       "'5 seconds', partition_key = 'column')"},
      {{"create", "or", "replace", "stream|source|table|materialized"},
       "a definition is never replaced",
       "write CREATE TABLE or CREATE MATERIALIZED VIEW; to change one, give the new one another "
       "name"},
      {{"create", "sink|connection|connector"},
       "results need no sink: every view is written to a table and to Parquet files",
       "leave it out and read the view by its name"},
      {{"partitioned", "by", "("},
       "PARTITIONED BY is not a clause of a table",
       "write WITH (partition_key = 'column', ...)"},
      {{"distributed", "by|into"},
       "DISTRIBUTED is not a clause of a table",
       "write WITH (partition_key = 'column', partitions = 4, ...)"},
      {{"not", "enforced"},
       "constraints on a table are not supported",
       "NOT NULL behind a column's type is; leave the rest out"},
      {{"format", "plain|upsert|debezium|native"},
       "FORMAT ... ENCODE is not a clause of a table",
       "write WITH (format = 'json', ...)"},
      {{"metadata", "from|virtual"},
       "METADATA columns do not exist",
       "declare what is in the events; the append time is known without a column"},
      {{"interval", "#"}, "an interval is written as text", "write INTERVAL '1 hour'"},
      {{"`"},
       "names are quoted with \", not with `",
       "a name of lower-case letters, digits and _ needs no quotes"},
      {{"(", "'", "="},
       "option names are written without quotes",
       "write WITH (event_time = 'column', watermark_delay = '5 seconds')"},
  };
  return forms;
}

bool MatchesWord(std::string_view pattern, const Token& token) {
  if (pattern == "#") return token.kind == Token::Kind::kNumber;
  if (pattern == "'") return token.kind == Token::Kind::kString;
  if (token.kind == Token::Kind::kString || token.kind == Token::Kind::kNumber) return false;
  while (true) {
    const size_t bar = pattern.find('|');
    if (pattern.substr(0, bar) == token.text) return true;
    if (bar == std::string_view::npos) return false;
    pattern.remove_prefix(bar + 1);
  }
}

bool MatchesAt(const Form& form, std::span<const Token> tokens) {
  if (tokens.size() < form.pattern.size()) return false;
  for (size_t i = 0; i < form.pattern.size(); ++i) {
    if (!MatchesWord(form.pattern[i], tokens[i])) return false;
  }
  return true;
}

}  // namespace

std::optional<ForeignForm> FindForeignForm(const Source& source, size_t error) {
  std::vector<Token> tokens = Tokenize(source);
  size_t begin = 0;
  size_t end = tokens.size();
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].text != ";" || tokens[i].kind != Token::Kind::kSymbol) continue;
    if (tokens[i].offset < error) {
      begin = i + 1;
    } else {
      end = i;
      break;
    }
  }
  const std::span<const Token> statement(tokens.data() + begin, end - begin);

  // The parser stops inside the form or at its first word: of all matches the last one before the
  // place it stopped at, else the first one behind.
  const Form* best = nullptr;
  size_t best_offset = 0;
  for (size_t i = 0; i < statement.size(); ++i) {
    const size_t at = statement[i].offset;
    if (best != nullptr && at > error) break;
    const auto form = std::find_if(Forms().begin(), Forms().end(), [&](const Form& f) {
      return MatchesAt(f, statement.subspan(i));
    });
    if (form == Forms().end()) continue;
    best = &*form;
    best_offset = at;
  }
  if (best == nullptr) return std::nullopt;
  return ForeignForm{best_offset, std::string(best->what), std::string(best->hint)};
}

}  // namespace millrace
