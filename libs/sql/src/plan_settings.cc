#include "options.h"
#include "plan_statement.h"

namespace millrace {
namespace {

constexpr std::string_view kKeepFor = "keep_for";
constexpr std::string_view kKeepBytes = "keep_bytes";

}  // namespace

Result<std::vector<SettingStatement>> PlanSettings(const Source& source,
                                                   const std::vector<OptionSyntax>& list) {
  const Options options(source, list, "CREATE TABLE");
  Micros keep_for = 0;
  MILLRACE_TRY(options.ReadDuration(kKeepFor, 1, &keep_for));
  int64_t keep_bytes = 0;
  MILLRACE_TRY(options.ReadBytes(kKeepBytes, &keep_bytes));
  std::vector<SettingStatement> settings;
  if (keep_for > 0) settings.push_back({{}, {}, std::string(kKeepFor), keep_for});
  if (keep_bytes > 0) settings.push_back({{}, {}, std::string(kKeepBytes), keep_bytes});
  return settings;
}

Result<std::vector<SettingStatement>> PlanAlter(const Source& source, const AlterSyntax& alter) {
  const Options options(source, alter.options, "ALTER TABLE");
  MILLRACE_TRY(options.CheckNames({std::string(kKeepFor), std::string(kKeepBytes)}));
  if (!alter.reset) return PlanSettings(source, alter.options);
  std::vector<SettingStatement> settings;
  for (const OptionSyntax& option : alter.options) settings.push_back({{}, {}, option.name, 0});
  return settings;
}

}  // namespace millrace
