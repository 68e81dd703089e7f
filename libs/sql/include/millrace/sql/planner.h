#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "millrace/base/result.h"
#include "millrace/model/spec.h"

namespace millrace {

/// A name that goes. Whether it is there, and whether a view still reads it, is for whoever applies
/// the script.
struct DropStatement {
  bool view = false;  ///< else a stream
  std::string name_space = "default";
  std::string name;
  bool if_exists = false;

  friend bool operator==(const DropStatement&, const DropStatement&) = default;
};

/// A setting of a stream that no result depends on, so it may change while the stream stands.
/// Whether the stream is there is for whoever applies the script.
struct SettingStatement {
  std::string name_space = "default";
  std::string stream;
  std::string key;    ///< keep_for, keep_bytes
  int64_t value = 0;  ///< microseconds or bytes; 0: as if it was never set

  friend bool operator==(const SettingStatement&, const SettingStatement&) = default;
};

/// What one statement of a script defines, sets or drops. A DROP of several names is several
/// statements, so are several settings, also those in CREATE TABLE.
using Statement = std::variant<StreamSpec, PipelineSpec, SettingStatement, DropStatement>;

/// The stream of this namespace and name, or nullptr. The pointer is used during the call of
/// PlanScript only.
using StreamLookup =
    std::function<const StreamSpec*(std::string_view name_space, std::string_view name)>;

struct PlannerOptions {
  /// Namespace of unqualified names.
  std::string name_space = "default";
  /// Plan views whose groups may span partitions as if they had one stage. For tools that fold one
  /// partition alone; a service must refuse such views.
  bool any_grouping = false;
  /// "namespace.name" of the streams that `streams` gives, for suggestions.
  std::vector<std::string> stream_names{};
};

/// Longest script, in bytes. The parser recurses once for every two bytes at worst, so the bound
/// keeps it inside 8 MiB of stack.
inline constexpr size_t kMaxScriptBytes = 64 * 1024;

/// Plans a script of CREATE TABLE, ALTER TABLE, CREATE MATERIALIZED VIEW and DROP statements
/// (docs/sql.md), in order. A view may name a stream of an earlier statement, or one that `streams`
/// gives; the script's wins, and one that the script drops is not there any more.
///
/// Reads no clock and no environment; of the outside only the zone files of the system, for views
/// with a `timezone`, and copies what they say into the plan.
///
/// Errors: the message is the full text for people, several lines: `line L, column C: what is
/// wrong`, the source line, a caret below the column (columns count characters from 1), and
/// `hint: ...` where there is something better to write. kConflict: the statement is right but
/// needs what is not built yet (a second stage, sessions, some functions), or two streams of the
/// script have one topic. kInvalidArgument: all else.
Result<std::vector<Statement>> PlanScript(std::string_view text, const StreamLookup& streams = {},
                                          const PlannerOptions& options = {});

}  // namespace millrace
