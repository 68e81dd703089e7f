#include "millrace/sql/planner.h"

#include <algorithm>

#include "plan_statement.h"
#include "syntax.h"

namespace millrace {
namespace {

class ScriptPlanner {
 public:
  ScriptPlanner(const Source& source, const StreamLookup& streams, const PlannerOptions& options)
      : source_(source), streams_(streams), options_(options) {}

  Status Add(const StatementSyntax& statement) {
    const bool table = std::holds_alternative<TableSyntax>(statement);
    const NameSyntax& name =
        table ? std::get<TableSyntax>(statement).name : std::get<ViewSyntax>(statement).name;
    const std::string space = name.name_space.empty() ? options_.name_space : name.name_space;
    if (Stream(space, name.name) != nullptr || View(space, name.name) != nullptr ||
        (!table && streams_ && streams_(space, name.name) != nullptr)) {
      return source_.At(name.location, Quoted(space + "." + name.name) + " is defined already",
                        "streams and views of a namespace have different names");
    }
    if (table) {
      MILLRACE_ASSIGN(StreamSpec stream,
                      PlanTable(source_, std::get<TableSyntax>(statement), options_));
      if (const StreamSpec* first = StreamOfTopic(stream.topic)) {
        Error taken = source_.At(name.location,
                                 "the topic " + Quoted(stream.topic) + " belongs to " +
                                     Quoted(first->name_space + "." + first->name),
                                 "a topic has one stream; give this one a topic of its own");
        taken.code = Code::kConflict;
        return taken;
      }
      out_.emplace_back(std::move(stream));
      return {};
    }
    const auto lookup = [this](std::string_view ns, std::string_view n) { return Find(ns, n); };
    PlannerOptions options = options_;
    for (const Statement& before : out_) {
      if (const auto* stream = std::get_if<StreamSpec>(&before))
        options.stream_names.push_back(stream->name_space + "." + stream->name);
    }
    MILLRACE_ASSIGN(PipelineSpec view,
                    PlanView(source_, std::get<ViewSyntax>(statement), lookup, options));
    out_.emplace_back(std::move(view));
    return {};
  }

  std::vector<Statement> Take() { return std::move(out_); }

 private:
  template <typename Spec>
  const Spec* Defined(std::string_view name_space, std::string_view name) const {
    for (const Statement& statement : out_) {
      const Spec* spec = std::get_if<Spec>(&statement);
      if (spec != nullptr && spec->name_space == name_space && spec->name == name) return spec;
    }
    return nullptr;
  }
  const StreamSpec* Stream(std::string_view name_space, std::string_view name) const {
    return Defined<StreamSpec>(name_space, name);
  }
  const PipelineSpec* View(std::string_view name_space, std::string_view name) const {
    return Defined<PipelineSpec>(name_space, name);
  }
  const StreamSpec* StreamOfTopic(std::string_view topic) const {
    for (const Statement& statement : out_) {
      const auto* stream = std::get_if<StreamSpec>(&statement);
      if (stream != nullptr && stream->topic == topic) return stream;
    }
    return nullptr;
  }
  const StreamSpec* Find(std::string_view name_space, std::string_view name) const {
    if (const StreamSpec* own = Stream(name_space, name)) return own;
    return streams_ ? streams_(name_space, name) : nullptr;
  }

  const Source& source_;
  const StreamLookup& streams_;
  const PlannerOptions& options_;
  std::vector<Statement> out_;
};

}  // namespace

Result<std::vector<Statement>> PlanScript(std::string_view text, const StreamLookup& streams,
                                          const PlannerOptions& options) {
  if (text.size() > kMaxScriptBytes) {
    return InvalidArgument("a script has at most 65,536 bytes; split it bytes=" +
                           std::to_string(text.size()));
  }
  const size_t valid = TextPrefix(text);
  const Source source{std::string(text.substr(0, valid))};
  if (valid < text.size()) {
    return source.At(static_cast<int64_t>(valid), "the script is not UTF-8 text from here on");
  }
  MILLRACE_ASSIGN(const auto statements, ParseStatements(source));
  if (statements.empty()) {
    return InvalidArgument(
        "the script has no statement; write CREATE TABLE ... and CREATE MATERIALIZED VIEW ...");
  }
  ScriptPlanner planner(source, streams, options);
  for (const StatementSyntax& statement : statements) MILLRACE_TRY(planner.Add(statement));
  return planner.Take();
}

}  // namespace millrace
