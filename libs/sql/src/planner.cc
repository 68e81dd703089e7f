#include "millrace/sql/planner.h"

#include <map>
#include <set>
#include <utility>

#include "millrace/base/facts.h"
#include "plan_statement.h"
#include "syntax.h"

namespace millrace {
namespace {

class ScriptPlanner {
 public:
  ScriptPlanner(const Source& source, const StreamLookup& streams, const PlannerOptions& options)
      : source_(source), streams_(streams), options_(options) {}

  Status Add(const StatementSyntax& statement) {
    return std::visit([this](const auto& syntax) { return Plan(syntax); }, statement);
  }

  std::vector<Statement> Take() { return std::move(out_); }

 private:
  using Names = std::pair<std::string, std::string>;

  Names NameOf(const NameSyntax& name) const {
    return {name.name_space.empty() ? options_.name_space : name.name_space, name.name};
  }

  Status Plan(const TableSyntax& table) {
    const Names name = NameOf(table.name);
    if (defined_.contains(name)) return DefinedAlready(table.name, name);
    MILLRACE_ASSIGN(StreamSpec stream, PlanTable(source_, table, options_));
    if (const auto first = topics_.find(stream.topic); first != topics_.end()) {
      Error taken = source_.At(table.name.location,
                               "the topic " + Quoted(stream.topic) + " belongs to " +
                                   Quoted(first->second.first + "." + first->second.second),
                               "a topic has one stream; give this one a topic of its own");
      taken.code = Code::kConflict;
      return taken;
    }
    topics_[stream.topic] = name;
    MILLRACE_ASSIGN(auto settings, PlanSettings(source_, table.options));
    Define(name, std::move(stream));
    Set(name, std::move(settings));
    return {};
  }

  Status Plan(const AlterSyntax& alter) {
    MILLRACE_ASSIGN(auto settings, PlanAlter(source_, alter));
    Set(NameOf(alter.name), std::move(settings));
    return {};
  }

  Status Plan(const ViewSyntax& view) {
    const Names name = NameOf(view.name);
    if (defined_.contains(name) || Find(name.first, name.second) != nullptr)
      return DefinedAlready(view.name, name);
    const auto lookup = [this](std::string_view ns, std::string_view n) { return Find(ns, n); };
    PlannerOptions options = options_;
    for (const auto& [topic, stream] : topics_)
      options.stream_names.push_back(stream.first + "." + stream.second);
    MILLRACE_ASSIGN(PipelineSpec spec, PlanView(source_, view, lookup, options));
    Define(name, std::move(spec));
    return {};
  }

  Status Plan(const DropSyntax& drop) {
    for (const NameSyntax& syntax : drop.names) {
      const Names name = NameOf(syntax);
      if (const auto at = defined_.find(name); at != defined_.end()) {
        if (const auto* stream = std::get_if<StreamSpec>(&out_[at->second]))
          topics_.erase(stream->topic);
        defined_.erase(at);
      }
      dropped_.insert(name);
      out_.emplace_back(DropStatement{drop.view, name.first, name.second, drop.if_exists});
    }
    return {};
  }

  template <typename Spec>
  void Define(const Names& name, Spec spec) {
    defined_[name] = out_.size();
    out_.emplace_back(std::move(spec));
  }

  void Set(const Names& name, std::vector<SettingStatement> settings) {
    for (SettingStatement& setting : settings) {
      setting.name_space = name.first;
      setting.stream = name.second;
      out_.emplace_back(std::move(setting));
    }
  }

  Error DefinedAlready(const NameSyntax& syntax, const Names& name) const {
    return source_.At(syntax.location,
                      Quoted(name.first + "." + name.second) + " is defined already",
                      "streams and views of a namespace have different names");
  }

  const StreamSpec* Find(std::string_view name_space, std::string_view name) const {
    const Names names(name_space, name);
    const auto at = defined_.find(names);
    if (at != defined_.end()) return std::get_if<StreamSpec>(&out_[at->second]);
    return streams_ && !dropped_.contains(names) ? streams_(name_space, name) : nullptr;
  }

  const Source& source_;
  const StreamLookup& streams_;
  const PlannerOptions& options_;
  std::vector<Statement> out_;
  std::map<Names, size_t> defined_;      ///< what the script defines and has not dropped since
  std::map<std::string, Names> topics_;  ///< of the streams among these
  std::set<Names> dropped_;
};

}  // namespace

Result<std::vector<Statement>> PlanScript(std::string_view text, const StreamLookup& streams,
                                          const PlannerOptions& options) {
  if (text.size() > kMaxScriptBytes) {
    return InvalidArgument("a script has at most 65,536 bytes; split it", {{"bytes", text.size()}});
  }
  // Some editors put a mark before the text that says it is UTF-8.
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
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
