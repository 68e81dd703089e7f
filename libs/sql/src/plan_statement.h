#pragma once

#include "millrace/model/spec.h"
#include "millrace/sql/planner.h"
#include "syntax.h"

namespace millrace {

/// Most windows that one event may belong to: a day's worth of minutes.
inline constexpr int64_t kMaxWindowsPerEvent = 1'440;

Result<StreamSpec> PlanTable(const Source& source, const TableSyntax& table,
                             const PlannerOptions& options);

/// What the options of a CREATE TABLE set, without the stream's name.
Result<std::vector<SettingStatement>> PlanSettings(const Source& source,
                                                   const std::vector<OptionSyntax>& list);
/// The same of an ALTER TABLE, which has no other options.
Result<std::vector<SettingStatement>> PlanAlter(const Source& source, const AlterSyntax& alter);

/// `streams` knows the script's own streams too.
Result<PipelineSpec> PlanView(const Source& source, const ViewSyntax& view,
                              const StreamLookup& streams, const PlannerOptions& options);

/// The window that tumble() or hop() names by its arguments behind stream and time.
Result<WindowSpec> PlanWindow(const Source& source, const Syntax& from);

/// Refuses names that the system's own columns have, and doubles whatever their case (SQLite's
/// columns differ by more than case).
Status CheckColumnNames(const Source& source, const std::vector<std::string>& names,
                        const std::vector<int64_t>& locations);

}  // namespace millrace
