#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "millrace/base/time.h"
#include "millrace/model/ids.h"

namespace millrace {

/// Whether a column has the name of the folders that result files lie in, regardless of ASCII case.
/// Readers of Parquet take a folder NAME=VALUE for a column NAME of the files below it, so a view's
/// own column of that name would be hidden.
bool IsDateFolderColumn(std::string_view column);

/// Where the checkpoints of an incarnation lie: "default/state/delays@17/".
std::string StateFolder(const Incarnation& incarnation);
/// The incarnation whose StateFolder this is.
std::optional<Incarnation> ParseStateFolder(std::string_view folder);
/// Where those of one shard lie: "default/state/delays@17/p2/".
std::string StateFolder(const ShardId& shard);
/// Where the result files of an incarnation lie: "default/results/delays@17/".
std::string ResultFolder(const Incarnation& incarnation);
/// Matches every result file of the incarnation and no other object. It is a pattern for shells and
/// for readers of Parquet files: "default/results/delays@17/*/*.parquet".
std::string ResultFileGlob(const Incarnation& incarnation);

/// What the key of a result file says (docs/formats/resultfile.md).
struct ResultFileKey {
  ShardId shard;
  std::string date;  ///< YYYY-MM-DD, UTC: the day of the file's interval
  int64_t first_seq = 0;
  int64_t last_seq = 0;
  /// The low half of the chain hash of the last row. The name stands for the content: two logs that
  /// put other rows under the same numbers give their files other names.
  uint64_t hash = 0;

  friend bool operator==(const ResultFileKey&, const ResultFileKey&) = default;
  std::string ToString() const;
  /// Nothing: ToString gives no such key.
  static std::optional<ResultFileKey> Parse(std::string_view key);
  /// How the keys begin of all files of this shard and day with this first row:
  /// "default/results/delays@17/window_date=2001-01-05/p3-1000-".
  std::string Beginning() const;
};

}  // namespace millrace
